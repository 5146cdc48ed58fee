"""Test lists in the forms of VoxCeleb2, LRW and HDTF, and as CSV."""

from pathlib import Path

import pytest

from pcavs.errors import InputError
from pcavs.evaluate.clip_list import person_of, read_list


@pytest.fixture
def clips(tmp_path):
    """Returns a function that makes empty videos in a folder `clips`."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "clips" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "clips"

    return make


def write(folder: Path, text: str, name: str = "list.txt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_voxceleb2_lists_name_person_video_and_clip(clips, tmp_path):
    root = clips("id00017/01dfn2spqyE/00001.mp4", "id00017/01dfn2spqyE/00002.mp4", "id00061/a/00003.mp4")
    text = "id00017/01dfn2spqyE/00001 145\nid00017/01dfn2spqyE/00002.mp4\n\n# the end\nid00061/a/00003"
    found = read_list(write(tmp_path, text), root)
    assert [clip.person for clip in found] == ["id00017", "id00017", "id00061"]
    assert found[0].key == "id00017-01dfn2spqyE-00001"
    assert all(clip.is_own_speech and clip.path.is_file() for clip in found)


def test_a_second_clip_drives(clips, tmp_path):
    root = clips("id00017/a/00001.mp4", "id00061/b/00003.mp4")
    (found,) = read_list(write(tmp_path, "id00017/a/00001 id00061/b/00003\n"), root)
    assert not found.is_own_speech
    assert found.audio == root / "id00061/b/00003.mp4"


def test_lrw_and_hdtf_names(clips, tmp_path):
    root = clips(
        "ABOUT/test/ABOUT_00001.mp4", "WDA_BarackObama0_000.mp4", "WDA_BarackObama1_001.mp4", "RD_Radio11_000.mp4"
    )
    text = "ABOUT/test/ABOUT_00001\nWDA_BarackObama0_000.mp4\nWDA_BarackObama1_001\nRD_Radio11_000\n"
    people = [clip.person for clip in read_list(write(tmp_path, text), root)]
    assert people == ["ABOUT/test/ABOUT_00001", "BarackObama", "BarackObama", "Radio11"]


def test_csv_names_paths_audio_and_people(clips, tmp_path):
    clips("a.mov", "b.mp4")
    text = "identity,path,audio\nann,clips/a.mov,\nbob,clips/b.mp4,clips/a.mov\n"
    first, second = read_list(write(tmp_path, text, "list.csv"))
    assert (first.person, first.name, first.is_own_speech) == ("ann", "clips/a", True)
    assert (second.person, second.audio) == ("bob", tmp_path / "clips/a.mov")


@pytest.mark.parametrize("name", ["interview", "talks/anna_12", "x_1", "clip_0001", "TED_0001"])
def test_other_names_are_people_of_their_own(name):
    """Clips that a program numbered (clip_0001, clip_0002) counted as one person, so that no interval was right."""
    assert person_of(name) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "lists no clips; give one on each line"),
        ("b.mp4\n", "lists b.mp4, and .* has no such video; give --root"),
        ("a\na.mp4\n", "lists a twice; list each clip once"),
        ("..\n", r"lists \.\., and .* has no such video"),
    ],
)
def test_what_cannot_be_used_is_one_line(clips, tmp_path, text, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read_list(write(tmp_path, text), clips("a.mp4"))
    assert "\n" not in str(caught.value)


def test_a_missing_list_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no list at .*; give a text file"):
        read_list(tmp_path / "list.txt")
