import io
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.sounds import write_wav
from pcavs.errors import InputError
from pcavs.media.audio import AudioReader, read_waveform, to_audio_frame
from pcavs.media.timeline import count_frames
from unit.media.making import FilmMaker, SoundMaker, click_time, numbered, tone_with_click

WAYS = [".wav", ".mp3", ".m4a"]


@pytest.mark.parametrize(("seconds", "frames"), [(1.00, 25), (3.33, 83), (61.72, 1543)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_codec_delay_and_padding_are_removed(
    make_sound: SoundMaker, seconds: float, frames: int, way: str, rate_hz: int
):
    path = make_sound(f"speech{way}", tone_with_click(seconds, rate_hz), rate_hz)
    waveform = read_waveform(path)
    assert len(waveform) == round(seconds * 16_000)
    assert count_frames(len(waveform)) == frames
    assert click_time(waveform) == pytest.approx(0.5, abs=0.001)


@pytest.mark.skipif(int(av.__version__.partition(".")[0]) >= 19, reason="the decoder removes it itself")
def test_the_codec_does_add_something_that_must_be_removed(make_sound: SoundMaker):
    # Guards the test above: if the decoder returned the exact number, the test would not cover our trimming.
    path = make_sound("speech.m4a", tone_with_click(1.0, 16_000), 16_000)
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 16_000


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 32_000, 48_000, 96_000])
def test_every_rate_keeps_time(make_sound: SoundMaker, rate_hz: int):
    waveform = read_waveform(make_sound("speech.wav", tone_with_click(1.0, rate_hz), rate_hz))
    assert waveform.dtype == np.float32
    assert len(waveform) == 16_000
    assert click_time(waveform) == pytest.approx(0.5, abs=0.0005)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw"])
def test_every_sample_format_keeps_loudness(make_sound: SoundMaker, codec: str):
    sound = tone_with_click(1.0, 16_000)
    waveform = read_waveform(make_sound("speech.wav", sound, 16_000, codec))
    np.testing.assert_allclose(waveform, sound[0], atol=0.05)


def test_channels_are_averaged(make_sound: SoundMaker):
    sound = tone_with_click(1.0, 16_000, channels=2)
    sound[1] *= 0.5
    waveform = read_waveform(make_sound("speech.wav", sound, 16_000))
    np.testing.assert_allclose(waveform, sound.mean(axis=0), atol=1e-3)


def test_six_channels_are_read(make_sound: SoundMaker):
    assert len(read_waveform(make_sound("speech.flac", tone_with_click(1.0, 48_000, channels=6), 48_000))) == 16_000


@pytest.mark.parametrize("way", [*WAYS, ".flac", ".ogg"])
def test_a_range_is_cut_at_its_samples(make_sound: SoundMaker, way: str):
    path = make_sound(f"speech{way}", tone_with_click(3.0, 48_000, click_s=1.5), 48_000)
    waveform = read_waveform(path, start_s=1.0, end_s=2.2)
    assert len(waveform) == 19_200
    assert click_time(waveform) == pytest.approx(0.5, abs=0.001)
    assert len(read_waveform(path, start_s=2.5, end_s=99.0)) == 8_000


def test_not_a_number_becomes_silence(make_sound: SoundMaker):
    sound = tone_with_click(1.0, 16_000)
    sound[0, 100:110] = np.nan
    assert np.isfinite(read_waveform(make_sound("speech.wav", sound, 16_000, "pcm_f32le"))).all()


def test_sound_that_starts_after_the_picture_stays_late(make_film: FilmMaker, tmp_path: Path):
    film = make_film("film.mp4", [Fraction(k, 25) for k in range(50)], numbered, sound=tone_with_click(1.0, 16_000)[0])
    late = tmp_path / "late.mkv"
    _delay_sound(film, late, 0.4)
    assert click_time(read_waveform(film)) == pytest.approx(0.5, abs=0.002)
    waveform = read_waveform(late)
    assert click_time(waveform) == pytest.approx(0.9, abs=0.002)
    assert np.abs(waveform[:6_000]).max() < 1e-3


def test_a_gap_in_the_sound_is_silence(make_sound: SoundMaker, tmp_path: Path):
    path = make_sound("speech.flac", tone_with_click(2.0, 16_000, click_s=1.5), 16_000)
    holed = tmp_path / "holed.mka"
    with av.open(str(path)) as source, av.open(str(holed), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None and not 8_000 <= packet.pts < 12_000:
                packet.stream = stream
                target.mux(packet)
    waveform = read_waveform(holed)
    assert len(waveform) == pytest.approx(32_000, abs=20)
    assert click_time(waveform) == pytest.approx(1.5, abs=0.002)
    assert not waveform[9_500:11_000].any()


def test_silence_is_accepted_with_a_warning(make_sound: SoundMaker, caplog: pytest.LogCaptureFixture):
    path = make_sound("quiet.wav", np.zeros((1, 16_000), np.float32), 16_000)
    with caplog.at_level(logging.WARNING):
        assert not read_waveform(path).any()
    assert "quiet.wav is silent" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "start_s", "message"),
    [
        (0.05, 0.0, r"holds 0\.05 s of sound; at least 0\.2 s is needed"),
        (1.0, 0.9, r"holds 0\.10 s of sound from 0\.9 s on; at least 0\.2 s"),
        (1.0, 5.0, r"holds 0\.00 s of sound from 5 s on"),
    ],
)
def test_too_little_sound(make_sound: SoundMaker, seconds: float, start_s: float, message: str):
    path = make_sound("short.wav", tone_with_click(seconds, 16_000, click_s=0.01), 16_000)
    with pytest.raises(InputError, match=message):
        read_waveform(path, start_s=start_s)


def test_a_fifth_of_a_second_is_enough(make_sound: SoundMaker):
    assert len(read_waveform(make_sound("short.wav", tone_with_click(0.2, 16_000, 0.1), 16_000))) == 3_200


def test_files_without_sound_are_refused(tmp_path: Path, make_film: FilmMaker):
    empty, text, playlist = tmp_path / "empty.wav", tmp_path / "text.mp4", tmp_path / "notes.txt"
    empty.touch()
    text.write_text("this is not a film\n" * 50)
    playlist.write_text("neither is this\n" * 50)
    cases = {
        tmp_path / "missing.wav": "missing.wav cannot be opened .No such file",
        tmp_path: "is a folder; give a file",
        empty: r"is empty \(0 bytes\)",
        text: "text.mp4 cannot be read as audio or video .Invalid data",
        playlist: "is text or a playlist",
        make_film("mute.mp4", [Fraction(k, 25) for k in range(5)], numbered): "mute.mp4 has no audio stream",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            read_waveform(path)
        assert "\n" not in str(caught.value)


def test_a_file_cut_short_gives_what_is_there(make_sound: SoundMaker):
    path = make_sound("speech.mp3", tone_with_click(5.0, 44_100), 44_100)
    path.write_bytes(path.read_bytes()[:30_000])
    assert 1.0 < len(read_waveform(path)) / 16_000 < 4.0


def test_a_damaged_middle_is_skipped(make_sound: SoundMaker, caplog: pytest.LogCaptureFixture):
    path = make_sound("speech.m4a", tone_with_click(5.0, 44_100, click_s=4.0), 44_100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(data)
    assert click_time(read_waveform(path)) == pytest.approx(4.0, abs=0.1)
    assert "damaged packets of its audio" in caplog.text


def test_a_name_like_a_protocol_is_a_file(make_sound: SoundMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    make_sound("http:12.wav", tone_with_click(1.0, 16_000), 16_000)
    monkeypatch.chdir(tmp_path)
    assert len(read_waveform(Path("http:12.wav"))) == 16_000


def test_the_reader_keeps_rate_and_channels(make_sound: SoundMaker):
    sound = tone_with_click(1.0, 44_100, channels=2)
    with AudioReader(make_sound("speech.m4a", sound, 44_100)) as reader:
        assert (reader.rate_hz, reader.layout) == (44_100, "stereo")
        assert sum(block.shape[1] for block in reader.blocks()) == 44_100


def _delay_sound(source_path: Path, target_path: Path, seconds: float) -> None:
    with av.open(str(source_path)) as source, av.open(str(target_path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                packet.pts += round(seconds / packet.time_base)
                packet.dts += round(seconds / packet.time_base)
            packet.stream = streams[packet.stream_index]
            target.mux(packet)


@pytest.mark.parametrize("channels", [*range(1, 10), 16])
def test_any_number_of_channels_is_read(tmp_path: Path, channels: int):
    sound = tone_with_click(1.0, 16_000, channels=channels)
    sound[1:] = 0
    path = tmp_path / "speech.wav"
    write_wav(path, sound)
    waveform = read_waveform(path)
    assert click_time(waveform) == pytest.approx(0.5, abs=0.001)
    np.testing.assert_allclose(waveform, sound[0] / channels, atol=2e-3)
    with AudioReader(path) as reader:
        blocks = np.concatenate(list(reader.blocks()), axis=1)
    if channels <= 8:
        np.testing.assert_allclose(blocks, sound, atol=1e-3)


@pytest.mark.parametrize("codec", ["flac", "aac", "libopus", "pcm_s16le"])
def test_eight_channels_of_every_codec(tmp_path: Path, codec: str):
    sound = tone_with_click(1.0, 48_000, channels=8)
    path = tmp_path / "speech.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=48_000, layout="7.1")
        frame = to_audio_frame(sound, 48_000, "7.1", 0)
        context = stream.codec_context
        fit = av.AudioResampler(context.format, "7.1", 48_000, frame_size=context.frame_size or None)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    waveform = read_waveform(path)
    assert len(waveform) == pytest.approx(16_000, abs=700)
    assert click_time(waveform) == pytest.approx(0.5, abs=0.025)


@pytest.mark.parametrize("part", ["all", "second half"])
@pytest.mark.parametrize("channels", [2, 10])
def test_channels_of_opposite_phase_are_heard(tmp_path: Path, channels: int, part: str):
    sound = tone_with_click(4.0, 16_000, click_s=3.0, channels=channels)
    sound[1::2, 0 if part == "all" else 32_000 :] *= -1
    waveform = read_waveform(write_wav(tmp_path / "speech.wav", sound))
    assert click_time(waveform) == pytest.approx(3.0, abs=0.001)
    np.testing.assert_allclose(np.abs(waveform)[32_200:], np.abs(sound[0])[32_200:], atol=1e-3)
    np.testing.assert_allclose(waveform[:32_000], sound[0, :32_000], atol=1e-3)
    assert np.abs(np.diff(waveform))[20_000:40_000].max() < 0.03  # no click where the mix changes


def test_channels_that_do_not_cancel_are_averaged_to_the_bit(tmp_path: Path):
    rng = np.random.default_rng(0)
    sound = 0.2 * rng.standard_normal((2, 40_000)).astype(np.float32)
    path = write_wav(tmp_path / "speech.wav", np.stack([sound[0], -0.5 * sound[0] + 0.5 * sound[1]]).clip(-1, 1))
    with AudioReader(path) as reader:
        mean = np.concatenate([block.mean(axis=0, dtype=np.float32) for block in reader.blocks()])
    np.testing.assert_array_equal(read_waveform(path), mean)


def _sound_bytes(kind: str, codec: str, rate_hz: int, click_s: float, channels: int = 1) -> bytes:
    data, layout = io.BytesIO(), {1: "mono", 2: "stereo"}[channels]
    with av.open(data, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        frame = to_audio_frame(tone_with_click(1.0, rate_hz, click_s, channels), rate_hz, layout, 0)
        context = stream.codec_context
        fit = av.AudioResampler(context.format, layout, rate_hz, frame_size=context.frame_size or None)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return data.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec", "rates", "channels"),
    [
        ("ogg", "flac", (44_100, 22_050, 44_100), (1, 1, 1)),
        ("ogg", "flac", (16_000, 16_000, 16_000), (1, 1, 1)),
        ("ogg", "libopus", (48_000, 48_000, 48_000), (1, 1, 1)),
        ("adts", "aac", (44_100, 22_050, 48_000), (1, 1, 1)),
        ("adts", "aac", (44_100, 44_100, 44_100), (1, 2, 1)),
        ("adts", "aac", (16_000, 48_000, 16_000), (2, 1, 2)),
        ("mp3", "libmp3lame", (16_000, 16_000, 16_000), (1, 1, 1)),
    ],
)
def test_files_joined_end_to_end_are_read_whole(tmp_path: Path, kind: str, codec: str, rates: tuple, channels: tuple):
    path = tmp_path / f"speech.{kind}"
    parts = zip(rates, (0.2, 0.5, 0.8), channels, strict=True)
    path.write_bytes(b"".join(_sound_bytes(kind, codec, *part) for part in parts))
    waveform = np.abs(read_waveform(path))
    assert len(waveform) / 16_000 == pytest.approx(3.0, abs=0.3)  # AAC and mp3 pad each part
    for part, click_s in enumerate((0.2, 0.5, 0.8)):
        piece = waveform[round(part * len(waveform) / 3) :][: len(waveform) // 3]
        assert click_time(piece) == pytest.approx(click_s, abs=0.12)


def test_a_stream_whose_new_format_ffmpeg_cannot_follow_is_refused(tmp_path: Path):
    path = tmp_path / "speech.ogg"
    path.write_bytes(_sound_bytes("ogg", "libopus", 48_000, 0.5) + _sound_bytes("ogg", "libopus", 48_000, 0.5, 2))
    with pytest.raises(InputError, match="speech.ogg changes its format in the middle and cannot be read as a whole"):
        read_waveform(path)
