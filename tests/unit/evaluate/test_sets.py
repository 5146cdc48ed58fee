"""Which sets of clips an evaluation reads."""

import numpy as np
import pytest

from helpers.sounds import write_noise
from pcavs.errors import InputError
from pcavs.evaluate.clips import find_clips
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.sets import ClipSet, find_sets
from pcavs.media.film import FilmWriter


def sets_of(tmp_path, text, **more):
    path = tmp_path / "sets.csv"
    path.write_text(text)
    return EvaluateOptions(sets=path, out=tmp_path / "out", **more)


def test_table_names_folders_beside_it(tmp_path):
    options = sets_of(tmp_path, "name,clips,kind,index\ninter views,a,real,people.csv\nheads,/b,rendered,\n")
    interviews, heads = find_sets(options)
    assert interviews == ClipSet("inter-views", tmp_path / "a", "real", tmp_path / "people.csv")
    assert (heads.kind, heads.people, str(heads.clips)) == ("rendered", None, "/b")
    assert heads.facts() == {"name": "heads", "clips": "b", "kind": "rendered"}


def test_folder_is_one_set_of_real_people(tmp_path):
    (found,) = find_sets(EvaluateOptions(clips=tmp_path / "some clips", out=tmp_path))
    assert found == ClipSet("some-clips", tmp_path / "some clips", "real")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,clips,kind\na,a,real\na,b,real\n", "names a set 'a' twice"),
        ("name,clips,kind\n,a,real\n", "or not at all"),
        ("name,clips,kind\na,a,drawn\n", "of kind 'drawn'; give real or rendered"),
        ("name,clips,kind\n", "has no sets"),
        ("name,clips\na,a\n", "has no column kind"),
    ],
)
def test_unusable_tables_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        find_sets(sets_of(tmp_path, text))


def test_clips_come_from_a_folder_or_a_table(tmp_path):
    with pytest.raises(InputError, match="give either --clips FOLDER or --sets"):
        find_sets(EvaluateOptions(out=tmp_path))
    with pytest.raises(InputError, match="give either --clips FOLDER or --sets"):
        find_sets(EvaluateOptions(clips=tmp_path, sets=tmp_path / "sets.csv", out=tmp_path))


def test_clips_of_two_sets_have_keys_of_their_own(tmp_path):
    sound = write_noise(tmp_path / "noise.wav", 0.4)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with FilmWriter(tmp_path / folder / "a.mp4", (32, 32), audio=sound) as film:
            for _ in range(5):
                film.write(np.zeros((32, 32, 3), np.uint8))
    found = find_clips(sets_of(tmp_path, "name,clips,kind\nx,one,real\ny,two,rendered\n"))
    assert [(clip.key, clip.clip_set.kind) for clip in found] == [("x-a", "real"), ("y-a", "rendered")]
