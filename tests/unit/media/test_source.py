"""Odd file names, odd metadata and damaged files. Each test is a crash that happened once."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pcavs.errors import InputError, OutputError
from pcavs.media.audio import AudioReader, read_waveform
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture
from pcavs.media.names import path_exists
from pcavs.media.source import open_media, tags_of
from pcavs.media.video import probe_video, read_frames
from unit.media.making import FilmMaker, numbered

ODD_NAMES = ["a\0b.mp4", "\ud800.mp4", "a" * 300 + ".mp4"]


def film(make_film: FilmMaker, count: int = 30, name: str = "film.mp4") -> Path:
    return make_film(name, [Fraction(t, 25) for t in range(count)], numbered)


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("read", [read_picture, read_waveform, probe_video, lambda path: next(read_frames(path))])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, read):
    with pytest.raises(InputError, match="^[^\n]*$"):
        read(tmp_path / name)
    assert not path_exists(tmp_path / name)


@pytest.mark.parametrize("name", ["a\0b.mp4", "a" * 300 + ".mp4"])
def test_a_film_of_such_a_name_cannot_be_written(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match="^[^\n]*$"), FilmWriter(tmp_path / name, (64, 64)):
        pass


def test_a_title_that_is_not_in_utf_8_does_not_matter(tmp_path: Path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "gr?n"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"gr?n") == 1
    path.write_bytes(data.replace(b"gr?n", b"gr\xfcn"))  # as Windows-1252 has it
    assert next(read_frames(path)).shape == (64, 64, 3)


def test_damage_is_reported_even_if_reading_stops_early(make_film: FilmMaker, caplog: pytest.LogCaptureFixture):
    """The warning read the kind of a stream after its file had been closed: a segmentation fault."""
    times = [Fraction(t, 25) for t in range(9)]
    path = make_film("film.mkv", times, numbered, codec="ffv1", prepare=lambda stream: stream.options.update(g="1"))
    data = path.read_bytes()
    with av.open(str(path)) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if number in (0, 1):
                data = data.replace(bytes(packet), bytes(packet.size))
    path.write_bytes(data)
    for _ in range(3):
        frames = read_frames(path)
        next(frames)
        frames.close()
    assert "damaged packets of its video" in caplog.text


def test_a_stream_without_a_decoder_is_ignored(make_film: FilmMaker):
    path = film(make_film)
    data = path.read_bytes()
    assert data.count(b"avc1") == 2
    path.write_bytes(data.replace(b"avc1", b"zzzz"))
    with pytest.raises(InputError, match=r"film\.mp4 has no picture"):
        probe_video(path)


@pytest.mark.parametrize("rate_hz", [7, 2_130_706_466])
def test_a_rate_that_no_sound_has_is_refused(tmp_path: Path, rate_hz: int):
    path = tmp_path / "odd.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate_hz)
        file.writeframes(bytes(9000))
    with pytest.raises(InputError, match=rf"odd\.wav has a sampling rate of {rate_hz} Hz; [^\n]*$"):
        read_waveform(path)


def test_sixteen_channels_are_averaged(tmp_path: Path):
    """PyAV addresses eight planes; reading the ninth read memory outside of the frame."""
    path = tmp_path / "choir.wav"
    time = np.arange(16_000)
    voices = np.stack([4000 * np.sin(time * 0.05) * (1 if n < 8 else 0.5) for n in range(16)], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(16)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(voices.astype("<i2").tobytes())
    with AudioReader(path) as reader:
        assert (reader.layout, next(reader.blocks()).shape[0]) == ("mono", 1)
    waveform = read_waveform(path)
    assert len(waveform) == 16_000
    np.testing.assert_allclose(waveform[100:-100], voices.mean(axis=1)[100:-100] / 32768, atol=2e-3)


def test_metadata_that_is_not_utf8_is_read_and_can_be_printed(tmp_path):
    """PyAV refuses it before version 19 unless told otherwise, and gives surrogates, which cannot be printed, after."""
    path = tmp_path / "tagged.mp4"
    with FilmWriter(path, (64, 64), metadata={"title": "Menü XX"}) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes().replace("Menü XX".encode(), b"Men\xfc\xfc XX"))
    with open_media(path) as container:
        title = tags_of(container)["title"]
    assert title.startswith("Men")
    assert title.encode().endswith(b" XX")
