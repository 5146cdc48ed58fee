"""Finding the files to prepare, their speakers and their splits."""

from pathlib import Path

import pytest

from pcavs.errors import InputError
from pcavs.prepare import sources
from pcavs.prepare.layouts import split_of
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source, find_sources


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, **settings: object) -> list[Source]:
    return find_sources(PrepareOptions(source=folder, out=folder / "out", **settings))  # pyright: ignore


def test_an_index_gives_speaker_split_and_licence(tmp_path: Path):
    touch(tmp_path, "ann/talk.mp4", "bob/look.jpg", "cut/notes.txt")
    index = tmp_path / "index.csv"
    index.write_text(
        "path,identity,source,split,licence\nann/talk.mp4,Ann,demo,val,CC0\nbob/look.jpg,,,,\n"
        "cut/notes.txt,x,x,x,x\n../elsewhere.mp4,y,y,train,y\n"
    )
    ann, bob = found(tmp_path, index=index)
    assert ann.facts == {"speaker": "Ann", "source": "demo", "split": "val", "licence": "CC0"}
    assert (bob.facts["speaker"], bob.facts["split"]) == ("look", "train")
    assert ann.path == (tmp_path / "ann" / "talk.mp4").resolve()
    assert (ann.key, ann.name) == ("ann-talk", "ann/talk.mp4")


def test_a_missing_index_and_an_empty_path_are_reported(tmp_path: Path):
    with pytest.raises(InputError, match="no index at .*; leave it out to search"):
        found(tmp_path, index=tmp_path / "none.csv")
    (tmp_path / "index.csv").write_text("path,identity\n,Ann\n")
    with pytest.raises(InputError, match="has a row without a path; fill in the column path"):
        found(tmp_path, index=tmp_path / "index.csv")


def test_a_folder_without_sources_is_reported(tmp_path: Path):
    with pytest.raises(InputError, match="no video or photograph in .*; known file endings are .avi"):
        found(tmp_path)
    with pytest.raises(InputError, match="is not a folder; give the folder of the videos"):
        found(tmp_path / "none")


def test_files_with_the_same_key_get_different_keys(tmp_path: Path):
    """Neighbours with the same key in a tar would be read as one clip."""
    touch(tmp_path, "a-b/c.mp4", "a/b-c.mp4", "a/b-c.png", "a/ü.mp4", "a/b-c--2.mp4")
    keys = [source.key for source in found(tmp_path)]
    assert len(set(keys)) == len(keys) == 5
    assert not any("." in key or "/" in key for key in keys)


def test_one_speaker_in_twenty_is_held_out_with_all_clips(tmp_path: Path):
    touch(tmp_path, *(f"speaker{n}/{name}.mp4" for n in range(200) for name in "ab"))
    splits = {(source.facts["speaker"], source.facts["split"]) for source in found(tmp_path)}
    assert len(splits) == 200
    assert 3 <= sum(split == "val" for _, split in splits) <= 20


def test_voxceleb2_is_recognised_by_its_folders(tmp_path: Path):
    touch(tmp_path, "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "test/mp4/id00017/01dfn2spqyE/00001.mp4")
    dev, test = found(tmp_path)
    assert (dev.facts["speaker"], test.facts["speaker"]) == ("id00012", "id00017")
    assert test.facts["split"] == "val"
    assert dev.key == "dev-mp4-id00012-21Uxsk56VDQ-00001"


def test_a_subfolder_of_voxceleb2_is_recognised(tmp_path: Path):
    touch(tmp_path, "id00012/21Uxsk56VDQ/00001.mp4")
    assert found(tmp_path)[0].facts["speaker"] == "id00012"


def test_lrw_is_recognised_by_its_folders(tmp_path: Path):
    touch(tmp_path, "ABOUT/train/ABOUT_00001.mp4", "ABOUT/val/ABOUT_00001.mp4", "ABOUT/test/ABOUT_00002.mp4")
    facts = {source.name: source.facts for source in found(tmp_path)}
    assert [fact["split"] for fact in facts.values()] == ["test", "train", "val"]
    assert {fact["word"] for fact in facts.values()} == {"ABOUT"}
    assert facts["ABOUT/train/ABOUT_00001.mp4"]["speaker"] == "ABOUT_00001"


def test_renders_are_recognised_by_their_folders(tmp_path: Path):
    touch(tmp_path, "train/Head_1/0001.mp4", "train/Head_1/0001.wav", "val/Head_2/0001.mp4")
    facts = [source.facts for source in found(tmp_path)]
    assert [(fact["speaker"], fact["split"]) for fact in facts] == [("Head_1", "train"), ("Head_2", "val")]


def test_the_layout_can_be_given(tmp_path: Path):
    touch(tmp_path, "id00012/21Uxsk56VDQ/00001.mp4", "x/y/z.mp4")
    assert [s.facts["speaker"] for s in found(tmp_path, layout="folder")] == ["id00012", "x"]
    assert [s.facts["speaker"] for s in found(tmp_path, layout="voxceleb2")] == ["id00012", "x"]


KNOWN_SETS = {
    "lrs2": {
        "mvlrs_v1/main/5535415699068794046/00001.mp4": ("5535415699068794046", "train"),
        "mvlrs_v1/pretrain/5535415699068794046/00002.mp4": ("5535415699068794046", "train"),
    },
    "lrs3": {
        "trainval/0Fi83BHQsMA/00002.mp4": ("0Fi83BHQsMA", "train"),
        "test/0QYTRyLSFGA/00001.mp4": ("0QYTRyLSFGA", "val"),
    },
    "hdtf": {
        "WDA_JerryNadler0_000.mp4": ("JerryNadler", "train"),
        "WDA_JerryNadler1_003.mp4": ("JerryNadler", "train"),
        "RD_Radio11_0.mp4": ("Radio11", "train"),
        "RD_Radio1_0.mp4": ("Radio1", "train"),
    },
    "mead": {
        "M003/video/front/angry/level_1/001.mp4": ("M003", "train"),
        "MEAD/W011/video/left_30/happy/level_3/012.mp4": ("W011", "train"),
    },
    "grid": {
        "s1/bbaf2n.mpg": ("s1", "train"),
        "s1/video/mpg_6000/lgwm8p.mpg": ("s1", "train"),
        "video/s21_processed/swiz9s.mp4": ("s21", "val"),
        "flat/multi_s20_brbk7n.mp4": ("s20", "train"),
    },
}


@pytest.mark.parametrize("layout", KNOWN_SETS)
def test_known_sets_tell_people_apart_by_name_and_by_themselves(layout: str, tmp_path: Path):
    wanted = KNOWN_SETS[layout]
    touch(tmp_path, *wanted)
    for chosen in (layout, "auto"):
        facts = {source.name: source.facts for source in found(tmp_path, layout=chosen)}
        assert {name: (fact["speaker"], fact["split"]) for name, fact in facts.items()} == wanted, chosen


def test_a_set_by_name_takes_files_that_are_not_recognised(tmp_path: Path):
    touch(tmp_path, "M003_front_angry_level_1_001.mp4", "own/s7/clip.mp4", "BarackObama.mp4")
    speakers = {
        layout: {source.facts["speaker"] for source in found(tmp_path, layout=layout)} for layout in ("mead", "grid")
    }
    assert "M003" in speakers["mead"]
    assert "s7" in speakers["grid"]
    touch(tmp_path, "WDA_JerryNadler0_000.mp4")
    assert found(tmp_path, layout="hdtf")[0].facts["speaker"] == "BarackObama"


@pytest.mark.parametrize("layout", ["voxceleb2", "lrw", *KNOWN_SETS])
def test_a_folder_in_which_no_file_fits_the_layout_is_refused(layout: str, tmp_path: Path):
    touch(tmp_path, "holiday/beach.mp4", "holiday/sea.mp4")
    with pytest.raises(InputError, match=rf"fits the layout {layout}: expected names like .*, found holiday/beach.mp4"):
        found(tmp_path, layout=layout)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("lrw", "train/ABOUT_00001.mp4"),
        ("lrs2", "5535415699068794046/00001.mp4"),
        ("lrs3", "0Fi83BHQsMA/00002.mp4"),
        ("mead", "M003_front_angry_level_1_001.mp4"),
        ("grid", "s7/clip.mp4"),
    ],
)
def test_a_part_of_a_set_fits_its_layout(layout: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path, name)
    assert len(found(tmp_path, layout=layout)) == 1
    assert not caplog.text


def test_files_that_do_not_fit_the_layout_are_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path, "id00012/21Uxsk56VDQ/00001.mp4", "x/y/z.mp4")
    found(tmp_path, layout="voxceleb2")
    assert "1 of 2 files do not fit the layout voxceleb2, such as x/y/z.mp4" in caplog.text
    caplog.clear()
    found(tmp_path, layout="folder")
    found(tmp_path / "id00012")
    assert not caplog.text


def test_ten_people_of_whom_none_is_drawn_have_one_held_out(tmp_path: Path):
    names = [f"person{n}" for n in range(40) if split_of(f"person{n}") == "train"][:10]
    touch(tmp_path, *(f"{name}/{clip}.mp4" for name in names for clip in "ab"))
    held_out = [source for source in found(tmp_path) if source.facts["split"] == "val"]
    assert len({source.facts["speaker"] for source in held_out}) == 1
    assert len(held_out) == 2
    assert {source.facts["split"] for source in found(tmp_path / names[0])} == {"train"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"path\n\xff.mp4\n", "is not UTF-8 text"),
        (b"file\na.mp4\n", "has no column path"),
        (b"path,who\n,Ann\n", "has a row without a path"),
    ],
)
def test_an_unreadable_index_is_reported_in_one_line(tmp_path: Path, data: bytes, message: str):
    touch(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_bytes(data)
    with pytest.raises(InputError, match="^[^\n]*$") as error:
        found(tmp_path, index=tmp_path / "index.csv")
    assert message in str(error.value)


def test_an_impossible_file_name_in_the_index_is_kept_for_the_ledger(tmp_path: Path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_text(f"path\n{'b' * 400}.mp4\n")
    (source,) = found(tmp_path, index=tmp_path / "index.csv")
    assert source.path.name.startswith("bbb")


def test_long_videos_are_split_into_parts(tmp_path: Path, write_film, monkeypatch: pytest.MonkeyPatch):
    write_film(tmp_path / "long.mp4", frames=60, sound=False)
    (tmp_path / "text.mp4").write_text("not a video, however long")
    monkeypatch.setattr(sources, "_MIN_LONG_BYTES", 10)
    monkeypatch.setattr(sources, "PART_S", 1)
    parts = found(tmp_path)
    assert [(p.key, p.start_s, p.end_s) for p in parts] == [("long@p0", 0, 1), ("long@p1", 1, None), ("text", 0, None)]
