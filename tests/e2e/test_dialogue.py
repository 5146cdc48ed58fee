"""Two people in one picture speak in turn: who moves when, the mix, the file, and what is refused."""

import ctypes.util
import gc
import json

import cv2
import numpy as np
import pytest

from helpers.sounds import write_noise
from pcavs.animate.options import AnimateOptions
from pcavs.animate.preview import contact_sheet
from pcavs.animate.run import make_film
from pcavs.animate.say import with_driving_audio
from pcavs.errors import FaceError, InputError
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.video import count_pictures

pytestmark = pytest.mark.timeout(600)

SIDE = 192


@pytest.fixture(scope="module")
def folder(composite, tmp_path_factory):
    """A picture of two people, and the voices of both."""
    folder = tmp_path_factory.mktemp("dialogue")
    face = cv2.resize(read_picture(composite), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    pair = np.concatenate([face, face[:, ::-1]], axis=1)
    cv2.imwrite(str(folder / "two.png"), pair[:, :, ::-1])
    write_noise(folder / "a.wav", 0.6)
    write_noise(folder / "b.wav", 0.4)
    return folder


@pytest.fixture
def write(folder, request):
    def write(lines, **fields):
        path = folder / f"{abs(hash(request.node.name))}.json"
        people = [{"face": face, "pose": "still", "no_blinks": True} for face in ("left", "right")]
        path.write_text(json.dumps({"format": "pcavs-dialogue-1", "people": people, "lines": lines, **fields}))
        return path

    return write


def motion(frames, half):
    """How much each frame of a half of the picture differs from the photograph."""
    columns = slice(0, SIDE) if half == "left" else slice(SIDE, None)
    part = np.stack([frame[:, columns] for frame in frames]).astype(float)
    return np.abs(part - part[-1]).mean(axis=(1, 2, 3))


TURNS = [{"face": "left", "audio": "a.wav"}, {"face": "right", "audio": "b.wav", "at_s": 1.2}]


def test_people_speak_in_turn_and_the_others_hold_still(loud_mouth, folder, write):
    lines = [*TURNS, {"face": "left", "audio": "b.wav", "at_s": 3.0, "end_s": 0.2}]
    film = loud_mouth.animate(folder / "two.png", dialogue=write(lines))
    frames = list(film.frames)
    assert (len(frames), film.num_frames, film.size_px) == (80, 80, (2 * SIDE, SIDE))
    left, right = motion(frames[:74], "left"), motion(frames[:74], "right")
    assert left[2:14].max() > 20 * left[25:70].max()
    assert right[32:40].max() > 20 * max(right[:25].max(), right[50:70].max())


def test_the_film_carries_the_mix_of_all_voices(loud_mouth, folder, write, tmp_path):
    film = loud_mouth.animate(folder / "two.png", dialogue=write(TURNS), marks="none")
    mix = read_waveform(film.sound.path)
    assert len(mix) == 25_600
    alone = read_waveform(folder / "b.wav")
    assert np.corrcoef(mix[19_200:], alone)[0, 1] > 0.98
    assert np.abs(mix[10_000:19_000]).max() < 1e-3
    saved = read_waveform(film.save(tmp_path / "two.mp4"))
    assert np.corrcoef(saved[:25_600], mix)[0, 1] > 0.95


def test_the_command_makes_a_marked_film_that_names_its_inputs(loud_mouth, folder, write, tmp_path):
    options = AnimateOptions(identity=folder / "two.png", dialogue=write(TURNS), out=tmp_path / "out.mp4")
    with with_driving_audio(options) as resolved:
        summary = make_film(loud_mouth, resolved, lambda *_: None)
    assert summary.frames == count_pictures(options.out, 0.0, None) == 40
    origin = loud_mouth.origin(options)
    assert origin.sound_filter is not None
    assert {path.name for _, path in origin.statement.inputs} >= {"two.png", "a.wav", "b.wav", options.dialogue.name}


def test_the_contact_sheet_shows_everybody(loud_mouth, folder, write):
    lines = [{**line, "end_s": 0.2, "at_s": at} for line, at in zip(TURNS, (0.0, 0.3), strict=True)]
    sheet = contact_sheet(loud_mouth.animate(folder / "two.png", dialogue=write(lines)))
    photograph = cv2.resize(read_picture(folder / "two.png"), (256, 128), interpolation=cv2.INTER_AREA).astype(int)
    tile = sheet[64:192, :256]
    off = np.abs(tile - photograph)[:110]
    assert off.mean() < 20, "the whole picture, in proportion"
    tiles = [sheet[64 + 256 * row :, 256 * column :][:110, :256] for row in range(3) for column in range(4)]
    moves = np.std(np.stack(tiles[:11]).astype(float), axis=0).mean(axis=(0, 2))
    assert min(moves[:128].max(), moves[128:].max()) > 1, "both of them speak"


def test_turned_heads_leave_their_neighbours_alone(loud_mouth, folder, write):
    """The crops of both overlap; each changes its own side only."""
    still = write(TURNS[:1], people=[{"face": each, "pose": "still", "no_blinks": True} for each in ("left", "right")])
    before = next(iter(loud_mouth.animate(folder / "two.png", dialogue=still).frames)).astype(int)
    turned = write(TURNS[:1], people=[{"face": "left", "pose": "still"}, {"face": "right", "pose": "yaw=15"}])
    after = next(iter(loud_mouth.animate(folder / "two.png", dialogue=turned).frames)).astype(int)
    changed = np.abs(after - before).max(axis=2)
    assert not changed[:, : SIDE - 40].any()
    assert changed[:, SIDE + 40 :].mean() > 2


@pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="eSpeak NG is not installed")
def test_lines_may_be_texts_and_files_go_with_the_film(loud_mouth, folder, write):
    lines = [{"face": "left", "say": "Hello."}, {"face": "right", "audio": "b.wav"}]
    film = loud_mouth.animate(folder / "two.png", dialogue=write(lines))
    place = film.sound.path
    spoken = read_waveform(place)[: -(6400 + 4800)]
    assert len(spoken) > 6400
    assert np.abs(spoken).max() > 0.05
    del film
    gc.collect()
    assert not place.exists()


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ([{"face": "left", "audio": "a.wav"}, {"face": "0", "audio": "b.wav"}], InputError, "left and 0 are the same"),
        ([{"face": "left", "audio": "a.wav"}, {"face": "5", "audio": "b.wav"}], FaceError, "number 5 from the left"),
        ([TURNS[0], {**TURNS[0], "at_s": 0.2}], InputError, "lines 1 and 2 of face left overlap; let line 2 begin at"),
        ([{"face": "left", "audio": "none.wav"}], InputError, "none.wav"),
        ([TURNS[0], {**TURNS[1], "start_s": 0.3, "end_s": 0.1}], InputError, ", line 2: the end of 0.1 s is not after"),
        ([TURNS[0], {"face": "right", "say": " "}], InputError, ", line 2: a text of 0 characters cannot be said"),
        ([{**TURNS[0], "at_s": 21_600}], InputError, "lasts 6.0 h; give up to 6 h"),
    ],
)
def test_what_cannot_be_filmed_is_refused_in_one_line(loud_mouth, folder, write, lines, error, message):
    with pytest.raises(error) as refused:
        loud_mouth.animate(folder / "two.png", dialogue=write(lines, people=[{"face": "left"}]))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_video_of_people_is_refused(loud_mouth, drift, folder, write):
    with pytest.raises(InputError, match="is a video; a dialogue animates the people of a photograph"):
        loud_mouth.animate(drift, dialogue=write(TURNS))
