"""Which clips are found, how they are stored, and from which clips pose and speech are taken."""

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.evaluate.clips import EvaluationClip, find_clips, load_clip, other_clips, resized, store_clip
from pcavs.evaluate.options import EvaluateOptions
from pcavs.media.film import FilmWriter


def options(tmp_path, **more):
    return EvaluateOptions(clips=tmp_path, out=tmp_path / "out", **more)


@pytest.fixture
def films(tmp_path, make_wav):
    for name in ("ann-1", "ann-2", "bob 1"):
        with FilmWriter(tmp_path / f"{name}.mp4", (32, 32), audio=make_wav) as film:
            for _ in range(5):
                film.write(np.zeros((32, 32, 3), np.uint8))
    with FilmWriter(tmp_path / "mute.mp4", (32, 32)) as film:
        film.write(np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "index.csv").write_text("path,identity\nann-1.mp4,ann\nann-2.mp4,ann\nbob 1.mp4,bob\n")
    return tmp_path


@pytest.fixture
def make_wav(tmp_path):
    from helpers.sounds import write_noise

    return write_noise(tmp_path / "noise.wav", 0.4)


def test_videos_with_sound_are_spread_over_people(films):
    found = find_clips(options(films, index=films / "index.csv"))
    assert [(each.key, each.person) for each in found] == [("ann-1", "ann"), ("bob-1", "bob"), ("ann-2", "ann")]
    assert [each.key for each in find_clips(options(films, index=films / "index.csv", most_clips=2))] == [
        "ann-1",
        "bob-1",
    ]


def test_without_an_index_each_video_is_another_person(films):
    assert len({each.person for each in find_clips(options(films))}) == 3


@pytest.mark.parametrize("name", ["missing", "noise.wav"])
def test_clips_that_are_not_a_folder_are_refused(tmp_path, make_wav, name):
    with pytest.raises(InputError, match="is not a folder; give a folder of videos with sound, or of shards"):
        find_clips(options(tmp_path / name))


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no video with sound in"):
        find_clips(options(tmp_path))


@pytest.mark.parametrize("data", [b"path,identity\n\xff,ann\n", b"path,identity\na\0b,ann\n", b"path\na.mp4\n"])
def test_unreadable_index_is_refused(films, data):
    (films / "odd.csv").write_bytes(data)
    with pytest.raises(InputError, match=r"^[^\n]*odd\.csv [^\n]*$"):
        find_clips(options(films, index=films / "odd.csv"))


def test_missing_index_is_refused(films):
    with pytest.raises(InputError, match="no index at"):
        find_clips(options(films, index=films / "other.csv"))


def test_other_people_come_before_the_same_person():
    keys = [("a1", "ann"), ("a2", "ann"), ("b1", "bob"), ("c1", "cid")]
    assert list(other_clips(keys, 0)) == [2, 3, 1]
    assert list(other_clips(keys, 2)) == [3, 0, 1]


def test_stored_clip_is_lossless(tmp_path):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (3, 256, 256, 3)).astype(np.uint8)
    raw = rng.normal(0, 1, (3, 478, 3)).astype(np.float32)
    film = tmp_path / "films" / "key" / "truth.mp4"
    clip = EvaluationClip("key", "ann", faces, rng.normal(0, 0.1, 1920).astype(np.float32), film, raw)
    (tmp_path / "work").mkdir()
    store_clip(clip, tmp_path / "work" / "key.npz")
    back = load_clip(tmp_path / "work" / "key.npz")
    assert (back.key, back.person, back.truth_path) == ("key", "ann", film)
    assert np.array_equal(back.faces, clip.faces)
    assert np.array_equal(back.waveform, clip.waveform)
    assert np.array_equal(back.raw_meshes, raw)


def test_pictures_of_the_right_size_are_returned_unchanged():
    picture = np.zeros((256, 256, 3), np.uint8)
    assert resized(picture) is picture
    assert resized(picture, 64).shape == (64, 64, 3)
