"""`pcavs evaluate --protocol paper-table`: films of other programs against true clips, and the blind page."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.page import Errors, chromium
from helpers.sounds import write_wav
from pcavs.cli import main
from pcavs.errors import InputError
from pcavs.evaluate import paper_table
from pcavs.evaluate.blind import sign_test, write_look
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.run import run
from pcavs.media.film import FilmWriter
from pcavs.media.video import count_pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FRAMES = 26
CLIPS = ("id00017/a/00001", "id00061/b/00002")


def speech(folder: Path, seed: int) -> Path:
    time = np.arange(FRAMES * 640) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return write_wav(folder / f"{seed}.wav", (0.3 * noise * np.abs(np.sin(9 * time))).clip(-1, 1))


def write_film(path: Path, pictures: list[np.ndarray], sound: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    with FilmWriter(path, (width, height), audio=sound) as film:
        for picture in pictures:
            film.write(picture)


@pytest.fixture(scope="module")
def films(loud_mouth, composite, tmp_path_factory):
    """Two true clips, and the films of two methods: one that copies them, and one that shows a still frame."""
    folder = tmp_path_factory.mktemp("methods")
    for seed, clip in enumerate(CLIPS):
        sound = speech(folder, seed)
        pictures = list(loud_mouth.animate(composite, sound, size=192, seed=seed).frames)
        write_film(folder / f"truth/{clip}.mp4", pictures, sound)
        (folder / f"films/copy/{clip}.mp4").parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"truth/{clip}.mp4", folder / f"films/copy/{clip}.mp4")
        write_film(folder / f"films/still/{clip.replace('/', '_')}.mp4", pictures[:1] * FRAMES, sound)
    (folder / "list.txt").write_text("\n".join(CLIPS))
    return folder


def options(films: Path, out: Path, **settings: object) -> EvaluateOptions:
    given = {"list": films / "list.txt", "root": films / "truth", "methods": (str(films / "films"),), "workers": 1}
    judges = films / "none"
    return EvaluateOptions(protocol="paper-table", out=out, judges=judges, **(given | settings))


@pytest.fixture(scope="module")
def report(films, tmp_path_factory):
    out = tmp_path_factory.mktemp("table")
    assert run(options(films, out)) == out / "table.html"
    return out, json.loads((out / "table.json").read_text())


def test_films_of_other_programs_are_found_by_the_clips_names_and_compared_in_pairs(report):
    _, table = report
    assert table["methods"] == ["copy", "still"]
    assert (table["clips"], table["people"]) == (2, 2)
    still, copy = (table["table"][name] for name in ("still", "copy"))
    assert copy["ssim"]["over_people"][0] == pytest.approx(1)
    assert copy["mouth_lmd_px"]["over_people"][0] == pytest.approx(0, abs=1e-6)
    assert still["mouth_lmd_px"]["over_people"][0] > 0.1
    gap = table["differences"]["still"]["mouth_lmd_px"]["over_people"]
    assert gap[2] < 0, "the copy is nearer to the truth, pair by pair"


def test_the_table_says_which_columns_are_verified_and_what_is_missing(report):
    out, table = report
    text = (out / "table.md").read_text()
    assert "| method | SSIM ↑ | CPBD | LMD ↓ (ours) | LMD, mouth ↓ (ours) | sync ↑ (ours) |" in text
    assert "Verified against the package cpbd 1.0.7" in text
    assert "LSE-C and LSE-D are missing" in text
    assert "CSIM is missing" in text
    page = (out / "table.html").read_text()
    assert "http" not in page
    assert table["columns"]["SSIM"]["verified"]


def test_a_measured_clip_is_not_measured_again_unless_its_films_change(films, report, monkeypatch):
    out, table = report
    measured = []
    monkeypatch.setattr(paper_table, "_row", lambda job, judges: measured.append(job.clip.key) or {"key": "x"})
    clip = paper_table.read_list(films / "list.txt", films / "truth")[0]
    found = paper_table._films(clip, [clip], paper_table.find_methods([str(films / "films")]))
    job = paper_table._Job(clip, found, (), options(films, out))
    assert paper_table._measure(job)["films"]["copy"]["ssim"] == table["rows"][0]["films"]["copy"]["ssim"]
    assert measured == []
    paper_table._measure(job._replace(films=found[:1]))
    assert measured == [clip.key]


def test_the_blind_page_names_no_method_asks_no_host_and_its_answers_are_scored(report, tmp_path, capsys):
    out, _ = report
    page_text = (out / "look.html").read_text()
    assert "copy" not in page_text
    assert "still" not in page_text
    key = json.loads((out / "look-key.json").read_text())["pairs"]
    assert {tuple(sorted((pair["left"], pair["right"]))) for pair in key.values()} == {("copy", "still")}
    errors = Errors()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 760, "height": 900})
        errors.watch(page, "file://")
        page.goto(f"file://{out / 'look.html'}")
        for name, pair in key.items():
            side = "left" if pair["left"] == "copy" else "right"
            page.check(f"input[name='{name}-sync'][value={side}]")
            page.check(f"input[name='{name}-real'][value=same]")
        assert page.inner_text("#done") == "4 of 4 answered"
        sizes = page.evaluate("[...document.querySelectorAll('video')].map((film) => film.videoWidth)")
        assert set(sizes) == {320}
        with page.expect_download() as download:
            page.click("#save")
        download.value.save_as(tmp_path / "ann.json")
    assert errors == []
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--protocol", "paper-table", "--out", str(out), "--answers", str(tmp_path / "ann.json")])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == str(out / "look.md")
    text = (out / "look.md").read_text()
    assert "| Whose lips fit the speech better? | copy | 2 | still | 0 | 0 | 0.500 |" in text
    assert "| Which looks more like a real person? | copy | 0 | still | 0 | 2 | 1.000 |" in text


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": "pcavs-look-1", "look": "LOOK", "answers": {}}', "x"])
def test_other_files_are_no_answers(report, films, tmp_path, content):
    """The third is of a page with as many pairs, on other sides: its answers would count for the other film."""
    paths = {clip: dict.fromkeys(("copy", "still"), f"{films}/truth/{clip}.mp4") for clip in CLIPS}
    (tmp_path / "work").mkdir()
    write_look(tmp_path, paths, ("still", "copy"), seed=0, most_s=0.2)
    other = json.loads((tmp_path / "look-key.json").read_text())
    assert len(other["pairs"]) == len(json.loads((report[0] / "look-key.json").read_text())["pairs"])
    (tmp_path / "ann.json").write_text(content.replace("LOOK", other["look"]))
    with pytest.raises(InputError, match=r"ann\.json holds no answers.*; give a file that the page saved"):
        run(EvaluateOptions(protocol="paper-table", out=report[0], answers=(tmp_path / "ann.json",)))


def test_our_weights_are_a_method_whose_films_are_made(films, loud_mouth, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_table, "cached_talker", lambda weights, device: loud_mouth)
    one = tmp_path / "one.txt"
    one.write_text(CLIPS[0])
    chosen = options(films, tmp_path / "out", list=one, methods=(), weights=())
    run(chosen)
    table = json.loads((tmp_path / "out/table.json").read_text())
    (name,) = table["methods"]
    assert (tmp_path / f"out/films/{name}/id00017-a-00001.mp4").is_file()
    assert not (tmp_path / "out/look.html").exists()
    assert table["table"][name]["mouth_lmd_px"]["over_people"][0] < 20
    # A film of another length, other weights or another clip is made again, and not measured as if it were of these.
    film = tmp_path / f"out/films/{name}/id00017-a-00001.mp4"
    whole = count_pictures(film, 0.0, None)
    run(dataclasses.replace(chosen, most_s=1.0))
    assert count_pictures(film, 0.0, None) == 25 < whole


def test_each_identity_network_has_a_column_of_its_own():
    rows = [
        {"key": "a", "name": "a", "person": "a", "excluded": [], "paths": {}, "films": dict.fromkeys(names, values)}
        for names, values in [((paper_table.TRUTH, "m"), {"cosine arcface": 0.5, "cosine faceres-deep": 0.25})]
    ]
    report = paper_table._report(EvaluateOptions(protocol="paper-table", out=Path()), rows, ["m"])
    assert list(report["columns"]) == ["CSIM, arcface", "CSIM, faceres-deep"]
    assert "0.500 (0.500 to 0.500) | 0.250" in paper_table.markdown(report)


def test_missing_films_and_folders_are_one_line(films, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    truth_alone = {"key": "a", "name": "a", "person": "a", "films": {paper_table.TRUTH: {}}, "excluded": []}
    monkeypatch.setattr(paper_table, "_row", lambda *_: dict(truth_alone))
    with pytest.raises(InputError, match=r"no clip of .*list\.txt has a film of every method"):
        run(options(films, tmp_path / "out", methods=(f"none={tmp_path / 'empty'}",)))
    with pytest.raises(InputError, match="needs --list"):
        run(EvaluateOptions(protocol="paper-table", out=tmp_path))
    for given, reason in (
        (f"{tmp_path}/no", "is not a folder; give NAME=FOLDER"),
        (f"{tmp_path}/empty", "has no subfolders; give NAME="),
    ):
        with pytest.raises(InputError, match=reason):
            paper_table.find_methods([given])
    with pytest.raises(InputError, match="'a' of a method is given twice"):
        paper_table.find_methods([f"a={tmp_path}", f"a={tmp_path}"])


def test_a_sign_test_counts_the_tails():
    assert sign_test(5, 0) == pytest.approx(2 / 2**5)
    assert sign_test(3, 3) == 1
