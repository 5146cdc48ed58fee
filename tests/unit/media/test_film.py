import os
import resource
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pcavs.errors import InputError, OutputError
from pcavs.media.audio import AudioReader, read_waveform
from pcavs.media.film import FilmWriter
from pcavs.media.video import probe_video, read_frames
from unit.media.making import SoundMaker, click_time, number_of, numbered, tone_with_click

SIZE = (128, 64)


def write(path: Path, frames: int = 25, **choice: object) -> Path:
    with FilmWriter(path, SIZE, **choice) as film:
        for k in range(frames):
            film.write(numbered(k))
    return path


def flash(path: Path, audio: Path, frames: int, at: int) -> Path:
    """A film whose picture turns white at one frame."""
    with FilmWriter(path, SIZE, audio=audio) as film:
        for k in range(frames):
            film.write(np.full((64, 128, 3), 255 if k >= at else 0, np.uint8))
    return path


def test_the_size_may_be_that_of_the_first_frame(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.wav", tone_with_click(1.0, 16_000), 16_000)
    given = write(tmp_path / "given.mp4", audio=audio)
    with FilmWriter(tmp_path / "taken.mp4", audio=audio) as film:
        for k in range(25):
            film.write(numbered(k))
    assert (tmp_path / "taken.mp4").read_bytes() == given.read_bytes()


def test_a_first_frame_with_an_odd_side_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="sides must be even, not 127 x 64"), FilmWriter(tmp_path / "a.mp4") as film:
        film.write(numbered(0, 127))
    assert list(tmp_path.iterdir()) == []


def test_later_frames_must_have_the_size_of_the_first(tmp_path: Path):
    with FilmWriter(tmp_path / "film.mp4") as film:
        film.write(numbered(0))
        with pytest.raises(ValueError, match="a frame of 64 x 64 came for a film of 128 x 64"):
            film.write(numbered(0, 64))


@pytest.mark.parametrize("size", [None, SIZE])
def test_the_place_and_the_audio_are_checked_before_the_first_frame(
    tmp_path: Path, size: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
):
    path, text = tmp_path / "film.mp4", tmp_path / "speech.wav"
    text.write_text("no sound\n" * 100)
    with pytest.raises(InputError, match=r"speech\.wav cannot be read"):
        FilmWriter(path, size, audio=text).__enter__()
    with pytest.raises(OutputError, match="none is not a folder"):
        FilmWriter(tmp_path / "none" / "film.mp4", size).__enter__()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match=r"film\.mp4 cannot be written \(Permission denied\); choose another place"):
        FilmWriter(path, size).__enter__()
    assert list(tmp_path.iterdir()) == [text]


def test_an_error_of_the_caller_is_not_reported_as_an_error_of_the_file(tmp_path: Path):
    def read_nothing() -> None:
        with FilmWriter(tmp_path / "film.mp4") as film:
            film.write(numbered(0))
            raise PermissionError(13, "Permission denied", "pose.mp4")

    with pytest.raises(PermissionError, match=r"pose\.mp4"):
        read_nothing()
    assert list(tmp_path.iterdir()) == []


def test_frames_come_back_at_their_times(tmp_path: Path):
    path = write(tmp_path / "film.mp4", 60)
    assert [number_of(picture) for picture in read_frames(path)] == list(range(60))
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
        assert times == [Fraction(k, 25) for k in range(60)]
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert list(tmp_path.iterdir()) == [path]


def test_picture_quality(tmp_path: Path):
    y, x = np.mgrid[0:64, 0:128]
    smooth = np.stack([x * 2, y * 4, 255 - x], axis=2).astype(np.uint8)
    with FilmWriter(tmp_path / "film.mp4", SIZE) as film:
        for _ in range(5):
            film.write(smooth)
    for picture in read_frames(tmp_path / "film.mp4"):
        assert np.abs(picture.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("way", [".wav", ".mp3", ".m4a"])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_sound_and_picture_are_in_step(make_sound: SoundMaker, tmp_path: Path, way: str, rate_hz: int):
    audio = make_sound(f"speech{way}", tone_with_click(3.33, rate_hz, click_s=1.0), rate_hz)
    film = flash(tmp_path / "film.mp4", audio, 83, at=25)
    shown = next(k for k, picture in enumerate(read_frames(film)) if picture.mean() > 128)
    # Half a frame is 20 ms; both must lie at 1.000 s.
    assert shown / 25 == 1.0
    assert click_time(read_waveform(film)) == pytest.approx(1.0, abs=0.003)
    assert len(read_waveform(film)) == pytest.approx(53_280, abs=1)


def test_a_planted_shift_is_seen(make_sound: SoundMaker, tmp_path: Path):
    # Guards the test above.
    audio = make_sound("speech.wav", tone_with_click(3.33, 16_000, click_s=1.04), 16_000)
    film = flash(tmp_path / "film.mp4", audio, 83, at=25)
    assert abs(click_time(read_waveform(film)) - 1.0) > 0.02


def test_a_range_of_the_audio_starts_with_the_picture(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.mp3", tone_with_click(5.0, 44_100, click_s=3.0), 44_100)
    film = write(tmp_path / "film.mp4", 50, audio=audio, audio_start_s=2.0, audio_end_s=4.0)
    waveform = read_waveform(film)
    assert len(waveform) == 32_000
    assert click_time(waveform) == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "kept_hz", "layout"),
    [
        (16_000, 1, 16_000, "mono"),
        (44_100, 2, 44_100, "stereo"),
        (48_000, 6, 48_000, "5.1"),
        (48_000, 8, 48_000, "7.1"),
        (8_000, 1, 8_000, "mono"),
    ],
)
def test_the_audio_keeps_its_rate_and_channels(
    make_sound: SoundMaker, tmp_path: Path, rate_hz: int, channels: int, kept_hz: int, layout: str
):
    audio = make_sound("speech.flac", tone_with_click(1.0, rate_hz, channels=channels), rate_hz)
    with AudioReader(write(tmp_path / "film.mp4", audio=audio)) as reader:
        assert (reader.rate_hz, reader.layout) == (kept_hz, layout)


def test_a_rate_that_aac_lacks_becomes_48_khz(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.flac", tone_with_click(1.0, 192_000), 192_000)
    film = write(tmp_path / "film.mp4", audio=audio)
    with AudioReader(film) as reader:
        assert reader.rate_hz == 48_000
    assert click_time(read_waveform(film)) == pytest.approx(0.5, abs=0.003)


def test_sound_ends_with_the_picture(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.wav", tone_with_click(5.0, 16_000), 16_000)
    assert len(read_waveform(write(tmp_path / "film.mp4", 25, audio=audio))) == 26 * 640


def test_sound_and_picture_are_interleaved(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.wav", tone_with_click(8.0, 16_000), 16_000)
    with av.open(str(write(tmp_path / "film.mp4", 200, audio=audio))) as container:
        placed = [(packet.pos, packet.stream.type) for packet in container.demux() if packet.pos is not None]
    kinds = [kind for _, kind in sorted(placed)]
    first_half = kinds[: len(kinds) // 2]
    assert 60 <= first_half.count("video") <= 140


def test_the_index_stands_in_front(tmp_path: Path):
    data = write(tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("tags", [{"title": "Talk", "comment": "made"}, {"title": "Talk", "pcavs_seed": "3"}])
def test_tags_are_kept(tmp_path: Path, tags: dict[str, str]):
    with av.open(str(write(tmp_path / "film.mp4", 3, metadata=tags))) as container:
        assert tags.items() <= container.metadata.items()


def test_the_same_frames_give_the_same_file(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("speech.wav", tone_with_click(2.0, 16_000), 16_000)
    one, two = (write(tmp_path / name, 50, audio=audio) for name in ("one.mp4", "two.mp4"))
    assert one.read_bytes() == two.read_bytes()


def test_an_existing_film_is_kept_unless_asked(tmp_path: Path):
    path = tmp_path / "film.mp4"
    path.write_text("precious")
    with pytest.raises(OutputError, match="film.mp4 exists already; choose another name or add --overwrite"):
        write(path)
    assert path.read_text() == "precious"
    assert probe_video(write(path, overwrite=True)).num_frames == 25


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_any_interruption_leaves_nothing(make_sound: SoundMaker, tmp_path: Path, error: type[BaseException]):
    audio = make_sound("speech.wav", tone_with_click(1.0, 16_000), 16_000)
    old = tmp_path / "film.mp4"
    old.write_text("precious")

    def start_and_fail() -> None:
        with FilmWriter(old, SIZE, audio=audio, overwrite=True) as film:
            film.write(numbered(0))
            assert list(tmp_path.glob("film.mp4.*.part"))
            raise error

    with pytest.raises(error):
        start_and_fail()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "speech.wav"]
    assert old.read_text() == "precious"


def test_an_interruption_while_finishing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path):
    # A limit on the size of files stands in for the full disk: the same call of the same library fails.
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 128, 3), dtype=np.uint8)

    def fill() -> None:
        with FilmWriter(tmp_path / "film.mp4", SIZE) as film:
            for picture in noise:
                film.write(picture)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match=r"film.mp4 cannot be written \(File too large\)") as caught:
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match="none is not a folder; make it or choose another"):
        write(tmp_path / "none" / "film.mp4")
    with pytest.raises(OutputError, match="file is not a folder"):
        write(file / "film.mp4")
    with pytest.raises(OutputError, match="is a folder; give a file name"):
        write(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", "film.mp4")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(OutputError, match=r"film.mp4 cannot be written \(Permission denied\); choose another place"):
        write(tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == [file]


def test_bad_input_is_refused_and_leaves_nothing(tmp_path: Path, make_sound: SoundMaker):
    path = tmp_path / "film.mp4"
    text = tmp_path / "speech.wav"
    text.write_text("no sound\n" * 100)
    with pytest.raises(InputError, match="speech.wav cannot be read"):
        write(path, audio=text)
    with pytest.raises(InputError, match="sides must be even, not 127 x 64; 126 x 64 fits"):
        FilmWriter(path, (127, 64))
    with (
        pytest.raises(ValueError, match="a frame of 64 x 64 came for a film of 128 x 64"),
        FilmWriter(path, SIZE) as film,
    ):
        film.write(numbered(0, 64))
    with pytest.raises(OutputError, match="there are no frames"):
        write(path, 0)
    film_with_sound = write(path, audio=make_sound("good.wav", tone_with_click(1.0, 16_000), 16_000))
    with pytest.raises(OutputError, match="is the driving audio itself"):
        write(path, audio=film_with_sound, overwrite=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["film.mp4", "good.wav", "speech.wav"]


def test_memory_does_not_grow_with_the_sound(make_sound: SoundMaker, tmp_path: Path):
    audio = make_sound("long.flac", tone_with_click(300.0, 16_000), 16_000)
    tracemalloc.start()
    write(tmp_path / "film.mp4", 10, audio=audio)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


@pytest.mark.parametrize(
    ("ending", "container", "codec", "sound"),
    [
        ("mp4", "mp4", "h264", "aac"),
        ("MOV", "mov", "h264", "aac"),
        ("m4v", "mp4", "h264", "aac"),
        ("mkv", "matroska", "h264", "aac"),
        ("webm", "webm", "vp9", "opus"),
        ("gif", "gif", "gif", None),
        ("webp", "webp", "webp", None),
    ],
)
def test_the_ending_chooses_the_format(
    make_sound: SoundMaker, tmp_path: Path, ending: str, container: str, codec: str, sound: str | None
):
    audio = make_sound("speech.wav", tone_with_click(1.2, 44_100), 44_100)
    path = write(tmp_path / f"film.{ending}", 30, audio=audio, metadata={"title": "Talk", "comment": "made & marked"})
    data = path.read_bytes()
    assert b"made & marked" in data or b"made &amp; marked" in data
    with av.open(str(path)) as film:
        assert container in film.format.name
        # PyAV 19 reads animations with a decoder of its own name.
        assert {stream.type: stream.codec_context.name.removesuffix("_anim") for stream in film.streams} == (
            {"video": codec} if sound is None else {"video": codec, "audio": sound}
        )
    numbers = [number_of(picture) for picture in read_frames(path)]
    assert numbers[:30] == list(range(30)) or (container == "webp" and numbers[0] == 0)
    if sound is not None:
        assert click_time(read_waveform(path)) == pytest.approx(0.5, abs=0.003)
    marks = {"mp4": b"ftypisom", "m4v": b"ftypisom", "MOV": b"ftypqt  ", "mkv": b"matroska", "webm": b"webm"}
    assert marks.get(ending, {"gif": b"GIF89a", "webp": b"WEBPVP8X"}.get(ending, b"?")) in data[:64]


def test_animations_keep_colours_times_and_tags(tmp_path: Path):
    y, x = np.mgrid[0:64, 0:128]
    pictures = [np.stack([x * 2, y * 4, np.full_like(x, 20 * k)], axis=2).astype(np.uint8) for k in range(10)]
    for name in ("a.gif", "a.webp"):
        with FilmWriter(tmp_path / name, metadata={"title": "T", "comment": "c" * 600}) as film:
            for picture in pictures:
                film.write(picture)
        found, animation = cv2.imreadanimation(str(tmp_path / name))
        assert found
        assert set(animation.durations) == {40}
        assert (tmp_path / name).read_bytes().count(b"c" * 100) >= 4
        for frame, picture in zip(animation.frames, pictures, strict=True):
            assert np.abs(frame[:, :, 2::-1].astype(int) - picture).mean() < 6


@pytest.mark.parametrize("name", ["film.avi", "film.jpg", "film.wav", "film.txt"])
def test_other_endings_are_refused(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match=f"{name} has no known film format; let its name end in .mp4, .m4v, .mov"):
        write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert write(tmp_path / "film").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(("ending", "error"), [("webm", 6), ("mov", 2), ("webp", 6)])
def test_alpha_is_kept_straight(tmp_path: Path, ending: str, error: float):
    """A colour of half opacity comes back as itself, neither darkened nor brightened."""
    picture = np.zeros((64, 128, 4), np.uint8)
    picture[...] = (200, 120, 40, 128)
    picture[:, :64, 3] = 255
    picture[:32, :, 3] //= 2
    path = tmp_path / f"film.{ending}"
    with FilmWriter(path, alpha=True) as film:
        for _ in range(3):
            film.write(picture)
    if ending == "webp":
        with Image.open(path) as image:
            found = np.asarray(image.convert("RGBA"))
    else:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoder = av.CodecContext.create("libvpx-vp9", "r") if ending == "webm" else stream.codec_context
            frame = next(frame for packet in container.demux(stream) for frame in decoder.decode(packet))
            found = frame.to_ndarray(format="rgba")
    for rows in (np.s_[6:26], np.s_[38:58]):
        for columns in (np.s_[6:58], np.s_[70:122]):
            assert (
                np.abs(found[rows, columns].astype(float).mean(axis=(0, 1)) - picture[rows, columns][0, 0]).max()
                < error
            )


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film.mkv", "film"])
def test_formats_without_alpha_are_refused(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match=f"{name} cannot be transparent; let its name end in .webm, .mov, .webp"):
        FilmWriter(tmp_path / name, SIZE, alpha=True).__enter__()
    assert list(tmp_path.iterdir()) == []
