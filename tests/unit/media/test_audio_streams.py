"""Files with several audio streams: the one that is marked default is heard, or the one that is asked for."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from pcavs.errors import InputError
from pcavs.media.audio import AudioReader, read_waveform, stream_notes, stream_waveform, to_audio_frame
from pcavs.media.film import FilmWriter

_TONES_HZ = (200.0, 1000.0, 3000.0)


def write_streams(path: Path, default: int | None) -> Path:
    """Writes a second of one tone in each of three streams, one of which is marked default."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in _TONES_HZ]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == default else Disposition.original
            stream.metadata["language"] = ("eng", "deu", "und")[number]
        for stream, tone_hz in zip(streams, _TONES_HZ, strict=True):
            samples = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(16_000) / 16_000)
            frame = to_audio_frame(samples[None].astype(np.float32), 16_000, "mono", 0)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def pitch_hz(waveform: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(waveform)).argmax() * 16_000 / len(waveform))


@pytest.mark.parametrize(("default", "heard"), [(0, 0), (1, 1), (2, 2), (None, 0)])
def test_the_default_stream_is_heard(tmp_path: Path, default: int | None, heard: int):
    """The first stream was heard, whatever the file says: commentary instead of speech."""
    path = write_streams(tmp_path / "speech.mkv", default)
    assert pitch_hz(read_waveform(path)) == pytest.approx(_TONES_HZ[heard], abs=2)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_any_stream_can_be_chosen(tmp_path: Path, number: int):
    path = write_streams(tmp_path / "speech.mkv", 1)
    waveform = np.concatenate(list(stream_waveform(path, stream=number)))
    assert pitch_hz(waveform) == pytest.approx(_TONES_HZ[number], abs=2)


@pytest.mark.parametrize(("number", "heard"), [(None, 1), (2, 2)])
def test_the_film_carries_the_stream_that_is_heard(tmp_path: Path, number: int | None, heard: int):
    path, out = write_streams(tmp_path / "speech.mkv", 1), tmp_path / "film.mp4"
    with FilmWriter(out, (32, 32), audio=path, audio_stream=number) as writer:
        for _ in range(25):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    assert pitch_hz(read_waveform(out)) == pytest.approx(_TONES_HZ[heard], abs=2)


def test_a_note_says_which_stream_is_heard(tmp_path: Path):
    path = write_streams(tmp_path / "speech.mkv", 1)
    choices = "--audio-stream 0 to 2 chooses another"
    assert stream_notes(path, None) == [f"speech.mkv has 3 audio streams; number 1 (deu) is heard ({choices})"]
    assert stream_notes(path, 2) == [f"speech.mkv has 3 audio streams; number 2 is heard ({choices})"]


def test_one_stream_needs_no_note(examples: Path):
    assert stream_notes(examples / "speech.wav", None) == []


@pytest.mark.parametrize("number", [3, -1])
def test_a_stream_that_is_missing_is_refused(tmp_path: Path, number: int):
    path = write_streams(tmp_path / "speech.mkv", 0)
    with (
        pytest.raises(InputError, match=f"3 audio streams, so there is no number {number}; give 0 to 2"),
        AudioReader(path, number),
    ):
        pass
    with pytest.raises(InputError, match="give 0 to 2"):
        stream_notes(path, number)


def test_the_only_stream_has_number_0(examples: Path):
    with (
        pytest.raises(InputError, match="has one audio stream, so there is no number 1; give 0"),
        AudioReader(examples / "speech.wav", 1),
    ):
        pass
