"""`--background`: colours, pictures and transparency, behind a person who is told from the photograph's background."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from helpers.sounds import write_noise
from helpers.talkers import LoudMouth
from pcavs.animate.backdrop import background_picture, cover, parse_colour
from pcavs.animate.batch import Job, film_options
from pcavs.animate.inputs import input_files
from pcavs.animate.options import AnimateOptions, FilmOptions
from pcavs.animate.preview import contact_sheet
from pcavs.animate.run import make_film
from pcavs.animate.talker import Talker, no_progress
from pcavs.errors import FaceError, InputError, OutputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.person import PersonSegmenter
from pcavs.media.image import read_picture
from pcavs.media.still import MID_GREY, read_alpha, read_still
from pcavs.media.video import read_frames

GREEN = (0, 160, 40)


@pytest.fixture(scope="module")
def talker():
    return Talker(LoudMouth(), FaceLandmarker(), "loud-mouth", "0" * 64, segmenter=PersonSegmenter())


@pytest.fixture
def sound(tmp_path):
    return write_noise(tmp_path / "speech.wav", 0.2)


def with_alpha(composite, path):
    """Writes the face as a PNG that is transparent outside of an ellipse, with a hidden red there."""
    picture = read_picture(composite)
    mask = np.zeros(picture.shape[:2], np.uint8)
    side = len(picture)
    cv2.ellipse(mask, (side // 2, side // 2), (int(side * 0.36), int(side * 0.48)), 0, 0, 360, 255, -1)
    picture = np.where(mask[..., None] > 0, picture, np.uint8([255, 0, 0]))
    Image.fromarray(np.dstack([picture, mask])).save(path)
    return path, mask


@pytest.mark.parametrize(
    ("words", "colour"),
    [("white", (255, 255, 255)), ("#204060", (32, 64, 96)), ("#f00", (255, 0, 0)), ("rgb(1,2,3)", (1, 2, 3))],
)
def test_colours_as_css_writes_them(words, colour):
    assert parse_colour(words) == colour
    assert background_picture(words) is None


def test_other_words_are_files():
    assert str(background_picture("beach.jpg")) == "beach.jpg"
    assert background_picture("transparent") is None
    assert background_picture(None) is None


def test_a_colour_with_alpha_is_refused():
    with pytest.raises(InputError, match="a background of #ff000080 is not opaque; give a colour without alpha"):
        parse_colour("#ff000080")


def test_what_is_neither_is_refused_in_one_line(talker, composite, sound):
    with pytest.raises(InputError, match="^a background of whiite is no colour and no file; give a colour such as"):
        talker.animate(composite, sound, background="whiite")
    with pytest.raises(InputError, match="speech.wav is no picture, and a background is one"):
        talker.animate(composite, sound, background=str(sound))


@pytest.mark.parametrize("size", [(40, 80), (120, 60), (64, 64)])
def test_a_picture_covers_the_film_around_its_middle(size):
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[48:52, 98:102] = 255
    covered = cover(picture, size)
    assert covered.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(covered[..., 0] > 100)
    assert (rows.mean(), columns.mean()) == pytest.approx(((size[1] - 1) / 2, (size[0] - 1) / 2), abs=1)


def test_the_wall_becomes_the_colour_and_the_face_stays(talker, composite, sound):
    film = talker.animate(composite, sound, background="#00a028")
    plain = talker.animate(composite, sound)
    frame, own = (np.asarray(next(each.frames)).astype(int) for each in (film, plain))
    assert np.abs(frame[:5, :5] - GREEN).max() <= 1
    assert np.abs(own[:5, :5] - GREEN).max() > 40
    middle = np.s_[len(frame) // 3 : 2 * len(frame) // 3, len(frame) // 3 : 2 * len(frame) // 3]
    assert np.abs(frame - own)[middle].max() <= 1


def test_the_background_holds_still_while_the_head_turns_and_moves(talker, composite, sound, tmp_path):
    beach = tmp_path / "beach.png"
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(picture).save(beach)
    films = [talker.animate(composite, sound, pose, background=str(beach)) for pose in (None, "yaw=15", "x=0.1")]
    frames = [np.asarray(next(film.frames)).astype(int) for film in films]
    shown = cover(picture, (len(frames[0]),) * 2)
    for frame in frames:
        assert np.abs(frame[:5, :5] - shown[:5, :5]).max() <= 1
    assert np.abs(frames[0] - frames[1]).mean() > 2


def test_the_photographs_own_alpha_is_used(talker, composite, sound, tmp_path):
    path, mask = with_alpha(composite, tmp_path / "cut.png")
    film = talker.animate(path, sound, background="transparent")
    frame = next(film.frames)
    crop = film.identity.source_crop
    assert crop is not None
    wanted = cv2.warpAffine(mask, crop.transform, (film.side_px,) * 2, flags=cv2.INTER_AREA)
    assert film.is_transparent
    assert frame.shape[2] == 4
    assert np.abs(frame[..., 3].astype(int) - wanted).mean() < 2
    seen = frame[frame[..., 3] > 20].astype(int)
    assert (seen[:, 0] - seen[:, 1:3].max(axis=1)).max() < 140, "the hidden red does not appear"


def test_alpha_is_read_as_the_picture_is(composite, tmp_path):
    path, mask = with_alpha(composite, tmp_path / "cut.png")
    alpha = read_alpha(path, 100)
    assert alpha is not None
    assert alpha.shape == read_still(path, 100).shape[:2]
    assert np.abs(alpha.astype(int) - cv2.resize(mask, (100, 100), interpolation=cv2.INTER_AREA)).max() <= 1
    assert read_alpha(composite) is None
    opaque = tmp_path / "opaque.png"
    Image.fromarray(np.full((8, 8, 4), 255, np.uint8)).save(opaque)
    assert read_alpha(opaque) is None


class Nobody:
    """A segmenter that finds no person."""

    def person_mask(self, picture):
        return np.zeros((256, 256), np.float32)


def test_a_person_who_is_not_found_is_one_line(composite, sound):
    talker = Talker(LoudMouth(), FaceLandmarker(), "loud-mouth", "0" * 64, segmenter=Nobody())
    with pytest.raises(FaceError, match="cannot be told from the background; give another photograph"):
        talker.animate(composite, sound, background="white")


@pytest.mark.parametrize("ending", [".webm", ".mov", ".webp"])
def test_transparent_films_keep_the_person_alone(talker, composite, sound, tmp_path, ending):
    out = tmp_path / f"film{ending}"
    words = {"identity": composite, "audio": sound, "background": "transparent", "preview": True}
    make_film(talker, AnimateOptions(out=out, **words), no_progress)
    if ending != ".webp":
        frame = next(read_frames(out)).astype(int)  # transparent pixels are shown as mid grey
        own = np.asarray(next(talker.animate(composite, sound).frames)).astype(int)
        middle = np.s_[len(frame) // 3 : 2 * len(frame) // 3, len(frame) // 3 : 2 * len(frame) // 3]
        assert np.abs(frame[:5, :5] - MID_GREY).max() <= 8
        assert np.abs(frame - own)[middle].mean() < 8
    else:
        with Image.open(out) as film:
            pixels = np.asarray(film.convert("RGBA"))
        assert pixels[:8, :8, 3].max() == 0
        assert pixels[len(pixels) // 2, len(pixels) // 2, 3] == 255
    preview = next(read_frames(out.with_suffix(".preview.mp4")))
    assert np.abs(preview[:5, :5].astype(int) - MID_GREY).max() <= 8


def test_save_and_contact_sheet_of_a_transparent_film(talker, composite, sound, tmp_path):
    film = talker.animate(composite, sound, background="transparent")
    assert contact_sheet(film).shape[2] == 3
    with pytest.raises(OutputError, match="film.mp4 cannot be transparent; let its name end in .webm, .mov, .webp"):
        film.save(tmp_path / "film.mp4")
    assert list(tmp_path.glob("film*")) == []
    assert film.save(tmp_path / "film.webm").stat().st_size > 100


def test_the_background_is_an_input(composite, sound, tmp_path):
    wall = tmp_path / "wall.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(wall)
    options = FilmOptions(identity=composite, audio=sound, background=str(wall))
    assert ("the picture of the background", wall) in input_files(options)


def test_rows_of_a_list_name_backgrounds_beside_it(tmp_path):
    (tmp_path / "wall.png").write_bytes(b"x")
    fields = {"identity": "a.png", "out": "a.mp4"}
    assert film_options(Job(1, {**fields, "background": "wall.png"}), tmp_path).background == str(tmp_path / "wall.png")
    assert film_options(Job(1, {**fields, "background": "white"}), tmp_path).background == "white"
    outside = tmp_path / "jobs"
    outside.mkdir()
    with pytest.raises(InputError, match="lies outside of the folder"):
        film_options(Job(1, {**fields, "background": "../wall.png"}), outside)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"full_frame": True}, "leave full_frame or background out"),
        ({"turn": "network"}, "a turn by the network does not tell the person from the background"),
        ({"compat": "published"}, "compat does not tell the person from the background"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(InputError, match=message):
        FilmOptions(identity=Path("a"), audio=Path("b"), background="white", **settings)


def test_an_empty_background_is_refused(composite):
    with pytest.raises(InputError, match="the background is empty"):
        FilmOptions(identity=composite, background=" ")
