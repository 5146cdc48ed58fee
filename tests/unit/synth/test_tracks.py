"""Lip maps recover what made the samples, and tracks hold the clips that were written."""

from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth import lip_maps, tracks
from pcavs.synth.lip_maps import MORPHS, LipMaps, features, script_morphs
from pcavs.synth.script import compose_script
from pcavs.synth.speech import Utterance
from pcavs.synth.voices import ClipSpeech
from pcavs.voices.phonemes import Phoneme


def hum() -> ClipSpeech:
    """Returns half a second of a, m, and a again, with noise for sound."""
    sounds = [("a", 0.0, 0.5), ("m", 0.5, 0.6), ("a", 0.6, 1.2)]
    phonemes = tuple(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s) for ipa, start_s, end_s in sounds)
    wave = np.random.default_rng(0).normal(0, 0.1, 19_200).astype(np.float32)
    utterance = Utterance(waveform=wave, phonemes=phonemes)
    return ClipSpeech(utterance=utterance, kind="kokoro", voice="af_heart", language="en-us", text="am a")


def toy_maps(held_out: tuple[bool, ...] = (False, False, True, True)) -> LipMaps:
    """Returns maps of heads that only differ at rest; AE_AA moves the first point down by its weight."""
    shared = np.zeros((features(np.zeros((1, len(MORPHS)), np.float32)).shape[1], 80), np.float32)
    shared[MORPHS.index("AE_AA"), 1] = 1.0
    neutral = np.repeat(np.arange(4, dtype=np.float32)[:, None], 80, axis=1)
    own = np.zeros((4, len(MORPHS), 80), np.float32)
    return LipMaps(heads=("a", "b", "c", "d"), held_out=held_out, neutral=neutral, shared=shared, own=own)


def test_a_fit_recovers_shared_and_own_maps() -> None:
    random = np.random.default_rng(1)
    shared = random.normal(0, 1, (features(np.zeros((1, len(MORPHS)), np.float32)).shape[1], 80)).astype(np.float32)
    neutral = random.normal(0, 1, (3, 80)).astype(np.float32)
    samples = []
    for rest in neutral:
        morphs = random.uniform(0, 1, (400, len(MORPHS))).astype(np.float32)
        samples.append((morphs, rest + features(morphs) @ shared + 0.1 * morphs[:, :1]))
    found, own = lip_maps.fit(neutral, samples, 1e-6, 1e-6)
    maps = LipMaps(heads=("a", "b", "c"), held_out=(False,) * 3, neutral=neutral, shared=found, own=own)
    np.testing.assert_allclose(maps.lips(1, samples[1][0]), samples[1][1], atol=1e-2)
    np.testing.assert_allclose(maps.lips(2, np.zeros((1, len(MORPHS)), np.float32))[0], neutral[2])


def test_lip_maps_survive_a_file_and_other_files_are_reported(tmp_path: Path) -> None:
    lip_maps.save(toy_maps(), tmp_path / "maps.npz")
    read = lip_maps.load(tmp_path / "maps.npz")
    assert (read.heads, read.held_out) == (("a", "b", "c", "d"), (False, False, True, True))
    np.testing.assert_array_equal(read.shared, toy_maps().shared)
    np.savez(tmp_path / "other.npz", morphs=np.array(["x"]))
    for name, message in (("other.npz", "made for other morphs"), ("none.npz", "does not hold lip maps")):
        with pytest.raises(InputError, match=message):
            lip_maps.load(tmp_path / name)


def test_a_track_moves_with_its_sound_and_keeps_to_the_heads_of_its_split() -> None:
    maps = toy_maps()
    for seed in range(6):
        random = np.random.default_rng(seed)
        script = compose_script(hum(), 1.2, random)
        track = tracks.draw_track(script, maps, held_out=True, random=random)
        assert len(track.lips) == 30
        assert set(track.facts["head"].split("+")) <= {"c", "d"}
        weight = script_morphs(script)[:, MORPHS.index("AE_AA")]
        np.testing.assert_allclose(track.lips[:, 1] - track.lips[:, 0], weight, atol=1e-5)


def test_tracks_and_kept_speech_survive_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    made = [tracks.draw_track(compose_script(hum(), 1.2, random), toy_maps(), False, random) for _ in range(3)]
    tracks.write_tracks(made, tmp_path / "0.npz")
    read = tracks.read_tracks(tmp_path / "0.npz")
    assert [track.facts for track in read] == [track.facts for track in made]
    np.testing.assert_allclose(read[2].lips, made[2].lips, atol=2e-3)
    np.testing.assert_allclose(read[1].waveform, made[1].waveform, atol=1e-4)
    tracks.save_speech(hum(), tmp_path / "said.npz")
    said = tracks.load_speech(tmp_path / "said.npz")
    assert (said.voice, said.utterance.phonemes) == ("af_heart", hum().utterance.phonemes)
    (tmp_path / "1.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="does not hold tracks"):
        tracks.read_tracks(tmp_path / "1.npz")
