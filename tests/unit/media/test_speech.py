"""Streamed speech gives the mel windows of the whole speech, in any order and in little memory, gated or not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.sounds import write_noise, write_wav
from pcavs.errors import InputError
from pcavs.media.audio import read_waveform, stream_waveform
from pcavs.media.mel import frame_levels, mel_windows, padded_mel, published_mel
from pcavs.media.speech import FeatureStream, MelStream, Speech
from pcavs.media.timeline import MEL_LEAD_BINS, count_frames, count_groups, count_whole_windows, group_samples
from pcavs.spec import FeatureSpec, MelSpec
from unit.media.making import SoundMaker, silence_quiet, tone_with_click

SPEC = MelSpec()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven seconds of noise with a pause; the length is a multiple of neither blocks, bins nor frames."""
    folder = tmp_path_factory.mktemp("spoken")
    waveform = read_waveform(write_noise(folder / "noise.wav", 7.3))[:-77]
    waveform[40_000:60_000] *= 0.01
    return write_wav(folder / "speech.wav", waveform)


def stream_of(path: Path, gate_db: float | None = None) -> MelStream:
    speech = Speech(path, 0.0, None, SPEC, gate_db)
    return MelStream(speech, count_frames(speech.stats.num_samples), MEL_LEAD_BINS)


@pytest.mark.parametrize("gate_db", [None, -12.0])
def test_all_windows_are_those_of_the_whole(spoken: Path, gate_db: float | None):
    waveform = read_waveform(spoken)
    if gate_db is not None:
        assert silence_quiet(waveform, gate_db) > 0
    stream = stream_of(spoken, gate_db)
    wanted = mel_windows(padded_mel(waveform, stream.num_frames, SPEC))
    assert stream.num_frames == count_frames(len(waveform)) == len(wanted)
    made = np.concatenate([stream.windows(range(at, min(at + 16, len(wanted)))) for at in range(0, len(wanted), 16)])
    np.testing.assert_allclose(made, wanted, atol=2e-6)
    whole = padded_mel(waveform, stream.num_frames, SPEC)
    np.testing.assert_allclose(frame_levels(stream, 40), frame_levels(whole, 40), atol=2e-6)
    np.testing.assert_allclose(frame_levels(stream, len(wanted)), frame_levels(whole, len(wanted)), atol=2e-6)
    np.testing.assert_allclose(frame_levels(whole, 9), wanted[:9, 0, :, 8:12].mean(axis=(1, 2)), atol=1e-6)


@given(st.lists(st.integers(0, 181), min_size=1, max_size=6))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_may_be_requested_in_any_order(spoken: Path, frames: list[int]):
    stream = stream_of(spoken)
    wanted = mel_windows(padded_mel(read_waveform(spoken), stream.num_frames, SPEC), frames)
    half = len(frames) // 2
    made = [stream.windows(part) for part in (frames[:half], frames[half:])]
    np.testing.assert_allclose(np.concatenate(made), wanted, atol=2e-6)


def test_without_a_lead_it_equals_the_published_mel(spoken: Path):
    mel = published_mel(read_waveform(spoken), SPEC)
    stream = MelStream(Speech(spoken, 0.0, None, SPEC), count_whole_windows(mel.shape[1]), 0)
    np.testing.assert_allclose(mel_windows(stream), mel_windows(mel), atol=2e-6)


def test_windows_of_sound_are_those_of_the_whole_in_any_order(spoken: Path):
    waveform, spec = read_waveform(spoken), FeatureSpec()
    groups = count_groups(count_frames(len(waveform)), spec)
    padded = np.concatenate([np.zeros(spec.window_samples), waveform, np.zeros(spec.window_samples)])
    stream = FeatureStream(Speech(spoken, 0.0, None, MelSpec()), spec)
    for wanted in (range(groups), [5, 6, 3, 3, groups - 1, 0]):
        for group, window in zip(wanted, stream.windows(wanted), strict=True):
            start = group_samples(group, spec).start + spec.window_samples
            np.testing.assert_array_equal(window, padded[start : start + spec.window_samples])


def test_windows_of_sound_do_not_depend_on_the_pieces(spoken: Path, monkeypatch: pytest.MonkeyPatch):
    waveform, spec = read_waveform(spoken), FeatureSpec()
    groups = range(count_groups(count_frames(len(waveform)), spec))
    speech = Speech(spoken, 0.0, None, MelSpec())
    windows = np.stack(list(FeatureStream(speech, spec).windows(groups)))
    for length in (1, 997, 50_000):
        at = [range(first, min(first + length, 9_000)) for first in range(0, 9_000, length)]
        pieces = [waveform[piece.start : piece.stop] for piece in at] + [waveform[9_000:]]
        monkeypatch.setattr(speech, "gated", lambda pieces=pieces: iter(pieces))
        np.testing.assert_array_equal(np.stack(list(FeatureStream(speech, spec).windows(groups))), windows)


@pytest.mark.parametrize("spec", [FeatureSpec(), FeatureSpec(window_frames=24, hop_frames=5, look_ahead_frames=3)])
def test_the_states_of_a_group_are_centred_on_its_frames(tmp_path: Path, spec: FeatureSpec):
    """Frame k is centred at sample 640 k (docs/decisions/0002), where state 2 k of the film is."""
    waveform = np.zeros(40 * 640, np.float32)
    for frame in range(12, 24):
        click = waveform.copy()
        click[640 * frame] = 0.9
        stream = FeatureStream(Speech(write_wav(tmp_path / "click.wav", click), 0.0, None, MelSpec()), spec)
        group, place = divmod(frame, spec.hop_frames)
        (window,) = stream.windows([group])
        state, remainder = divmod(int(window.argmax()), 320)
        assert remainder == 0
        assert range(spec.window_states)[spec.group_states][2 * place] == state
        # The sound ends `look_ahead_frames` + 1 frames after the group's last frame is shown.
        assert group_samples(group, spec).stop == 640 * ((group + 1) * spec.hop_frames + spec.look_ahead_frames)
        assert len(window) == spec.window_samples


@pytest.mark.parametrize("name", ["speech.wav", "speech.mp3", "speech.m4a", "speech.flac"])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_pieces_join_to_the_whole(make_sound: SoundMaker, name: str, rate_hz: int):
    path = make_sound(name, tone_with_click(1.23, rate_hz), rate_hz)
    whole = read_waveform(path, 0.2)
    np.testing.assert_array_equal(np.concatenate(list(stream_waveform(path, 0.2))), whole)
    assert Speech(path, 0.2, None, SPEC).stats.num_samples == len(whole)


def test_too_little_is_refused_and_silence_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(InputError, match=r"0\.10 s of sound; at least 0\.2 s"):
        Speech(write_noise(tmp_path / "click.wav", 0.1), 0.0, None, SPEC)
    speech = Speech(write_wav(tmp_path / "quiet.wav", np.zeros(8000)), 0.0, None, SPEC, -30.0)
    assert speech.stats.is_silent
    assert "is silent" in caplog.text
    assert not MelStream(speech, 12, MEL_LEAD_BINS).windows(range(12)).any()


MEASURE = """
import json, pathlib, sys
from pcavs.media.speech import FeatureStream, MelStream, Speech
from pcavs.media.timeline import MEL_LEAD_BINS, count_frames, count_groups
from pcavs.spec import FeatureSpec, MelSpec
speech = Speech(pathlib.Path(sys.argv[1]), 0.0, None, MelSpec(), -30.0)
stream = MelStream(speech, count_frames(speech.stats.num_samples), MEL_LEAD_BINS)
stream.levels(stream.num_frames)
total = sum(float(stream.windows(range(at, min(at + 64, stream.num_frames))).sum())
            for at in range(0, stream.num_frames, 64))
spec = FeatureSpec()
groups = range(count_groups(stream.num_frames, spec))
total += sum(float(abs(window).sum()) for window in FeatureStream(speech, spec).windows(groups))
facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps([stream.num_frames, int(facts["VmHWM"].split()[0]) / 1024, total]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
def test_eight_minutes_take_the_memory_of_half_a_minute(tmp_path: Path):
    """Held as a whole, eight minutes would be 31 MB of samples and 15 MB of mel."""

    def peak_mb(seconds: int) -> float:
        path = write_noise(tmp_path / f"{seconds}.wav", seconds)
        words = [sys.executable, "-c", MEASURE, str(path)]
        ran = subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ)
        frames, peak, total = json.loads(ran.stdout)
        assert frames == 25 * seconds
        assert total > 0
        return peak

    short, long = peak_mb(30), peak_mb(480)
    assert long - short < 10, f"{short:.0f} MB for half a minute, {long:.0f} MB for eight"
