"""`pcavs evaluate` and `pcavs compare` from videos to a report, with a talker that needs no weights."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.sounds import write_wav
from helpers.talkers import LoudMouth, write_bundle
from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.cli import main
from pcavs.errors import InputError
from pcavs.evaluate import protocols
from pcavs.evaluate import run as evaluation
from pcavs.evaluate.clips import ClipSource, load_sync
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.protocols import (
    LOOP_END,
    LOOP_START,
    OTHER_SPEECH,
    SELF,
    SHIFTED,
    STILL,
    STILL_OTHER,
    TRUTH,
)
from pcavs.evaluate.run import PreparedClip
from pcavs.evaluate.sets import ClipSet
from pcavs.evaluate.summary import sanity_checks
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.runtime.base import IdentityArrays
from pcavs.weights.locate import find_weights

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FRAMES = 26
SHORT_FRAMES = 15
"""Length of the films with exchanged inputs."""
STRAIGHT = np.array([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], np.float32)
"""The pose code of a frontal head."""


class StillHead(LoudMouth):
    """Reads every head as frontal, so that the depth turn does not move the head."""

    def encode_identity(self, face: np.ndarray) -> IdentityArrays:
        return super().encode_identity(face)._replace(pose=STRAIGHT)

    def encode_pose(self, faces: np.ndarray) -> np.ndarray:
        return np.repeat(STRAIGHT[None], len(faces), axis=0)


@pytest.fixture(scope="module")
def loud_mouth(landmarker):
    return Talker(StillHead(), landmarker, "loud-mouth", "0" * 64)


@pytest.fixture(scope="module")
def clips(loud_mouth, examples, composite, tmp_path_factory):
    """Two videos of 26 frames: in one a drawn mouth speaks, in the other a head turns."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for name in ("ann", "bob"):
        time = np.arange(FRAMES * 640) / 16_000
        beats = np.abs(np.sin((7 if name == "ann" else 11) * time))
        sound = write_wav(folder / f"{name}.wav", (0.3 * rng.standard_normal(len(time)) * beats).clip(-1, 1))
        if name == "ann":
            loud_mouth.animate(composite, sound, size=256).save(folder / "ann.mp4")
        else:
            pictures = list(read_frames(examples / "pose.mp4", 0.0, FRAMES / 25))
            height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
            with FilmWriter(folder / "bob.mp4", (width, height), audio=sound) as film:
                for picture in pictures:
                    film.write(picture[:height, :width])
        sound.unlink()
    return folder


@pytest.fixture(scope="module")
def options(clips, loud_mouth, tmp_path_factory):
    return EvaluateOptions(
        clips=clips, out=tmp_path_factory.mktemp("report"), workers=1, judges=clips / "none", long_s=2.2
    )


@pytest.fixture
def loud(loud_mouth, monkeypatch):
    for module in (protocols, evaluation):
        monkeypatch.setattr(module, "cached_talker", lambda weights, device: loud_mouth)
    monkeypatch.setattr(protocols, "SHORT_FILM_S", SHORT_FRAMES / 25)


@pytest.fixture
def report(options, loud):
    evaluation.run(options)
    return json.loads((options.out / "report.json").read_text())


def test_the_report_says_how_to_repeat_it(report, options):
    assert report["judge"]["name"].startswith("pcavs-judge-v")
    assert len(next(iter(report["weights"].values()))) == 64
    assert "H.264" in report["encoding"]
    assert (report["clips"], report["people"], report["frames"]) == (2, 2, 2 * FRAMES)
    page = (options.out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<figure>") == 2


def test_truth_is_perfect_and_a_late_film_is_late(report):
    name = next(iter(report["weights"]))
    films = report["films"]
    assert films[TRUTH]["ssim"]["over_clips"][0] == pytest.approx(1)
    assert films[TRUTH]["mouth_lmd_px"]["over_clips"][0] == 0
    assert films[SHIFTED]["ssim"]["over_clips"][0] < 1
    assert set(films[f"{name}: {SELF}"]) > {"ssim", "cpbd", "mouth_lmd", "sync_confidence", "yaw_error", "flicker"}
    assert "unused_sync_confidence" in films[f"{name}: {OTHER_SPEECH}"]


def test_lips_of_a_still_head_follow_the_speech(report, options):
    """The mouth of both talkers opens with loudness, in the film as in the clip that was made with it."""
    name = next(iter(report["weights"]))
    assert report["speech_features"] == {name: "mel"}
    following = report["following"]["real people"]
    own, other = (following["films"][f"{name}: {film}"]["opening_correlation"] for film in (STILL, STILL_OTHER))
    assert (own["num_clips"], own["num_people"]) == (2, 2)
    ann = next(row for row in report["rows"] if row["key"] == "ann")
    assert ann["films"][f"{name}: {STILL}"]["opening_correlation"] > 0.9
    assert own["over_people"][0] > other["over_people"][0]
    assert "yaw_error" not in ann["films"][f"{name}: {STILL}"]
    assert "| film |" in (options.out / "following.md").read_text()


def test_clip_with_half_a_face_is_excluded(options, loud, tmp_path, monkeypatch, caplog):
    plain = evaluation.observe

    def aside(*film):
        seen = plain(*film)
        seen.raw_meshes[0, :, 0] += 150
        return seen

    monkeypatch.setattr(evaluation, "observe", aside)
    with pytest.raises(InputError, match="0 usable clips"):
        evaluation.run(dataclasses.replace(options, out=tmp_path / "aside"))
    assert "a whole face is needed" in caplog.text


def test_films_with_exchanged_inputs_are_short(report, options):
    row = report["rows"][0]
    lengths = {
        film.stem.rpartition("-")[2]: len(list(read_frames(film)))
        for film in (options.out / "films" / row["key"]).glob("*.mp4")
    }
    assert {lengths[name] for name in ("silence", "pose", "identity")} == {SHORT_FRAMES}
    assert lengths["driven"] == lengths["speech"] == lengths["head"] == lengths["late"] == FRAMES
    assert row["films"][next(name for name in row["films"] if name.endswith("silence"))]["opening_correlation"] >= -1


def test_looped_speech_is_measured_at_both_ends(report):
    name = next(iter(report["weights"]))
    first, last = (
        report["films"][f"{name}: {part}"]["sync_cosine"]["over_clips"][0] for part in (LOOP_START, LOOP_END)
    )
    assert first == pytest.approx(last, abs=0.3)


def test_only_speech_moves_the_mouth_of_loud_mouth(report):
    """Its head does not move and its mouth opens with loudness, which the shares of motion must show."""
    shares = next(iter(report["motion_change_shares"].values()))
    assert shares["speech"]["mouth"] > 5 * shares["pose"]["mouth"]


def test_sanity_checks_are_reported(report):
    found = sanity_checks(report["rows"], list(report["weights"]))
    assert found == report["checks"]
    frozen = next(each for each in found if each["check"].startswith("a frozen mouth"))
    assert frozen["difference"][0] > 0
    assert frozen["result"] in ("passed", "undecided")


def test_stopped_evaluation_continues(report, options, loud, monkeypatch):
    row = options.out / "work" / "bob.json"
    kept = json.loads(row.read_text())
    row.write_text(json.dumps(kept | {"person": "kept from before"}))
    (options.out / "report.json").unlink()
    monkeypatch.setattr(protocols, "make_film", None)
    evaluation.run(options)
    again = json.loads((options.out / "report.json").read_text())
    row.write_text(json.dumps(kept))
    assert {each["person"] for each in again["rows"]} == {"ann", "kept from before"}


def test_two_evaluations_are_not_mixed(report, options, loud):
    other = EvaluateOptions(**{**vars(options), "most_s": 3.0})
    with pytest.raises(InputError, match="holds an evaluation of other weights, clips or settings"):
        evaluation.run(other)


def test_clips_out_of_sync_are_excluded_before_films_are_made(clips, tmp_path, monkeypatch, caplog):
    found = {"good": (1.0, 0.3), "late": (4.0, 0.3), "unsure": (4.0, 0.05)}
    monkeypatch.setattr(evaluation, "_prepare_clip", lambda clip, _: PreparedClip("", *found[clip.key]))
    options = EvaluateOptions(clips=clips, out=tmp_path)
    sources = [ClipSource(key, key, Path(), ClipSet("clips", clips)) for key in found]
    used, excluded = evaluation._prepare(sources, options, map)
    assert [key for key, _, _ in used] == ["good", "unsure"]
    assert excluded == [{"key": "late", "sync_offset": 4.0, "sync_confidence": 0.3}]
    assert "late is excluded: its own picture is +4 frames late" in caplog.text
    with pytest.raises(InputError, match="1 clips in .* are in sync, 2 are needed; give other clips or add --any-sync"):
        evaluation._prepare(sources[:2], options, map)
    assert len(evaluation._prepare(sources, dataclasses.replace(options, any_sync=True), map)[0]) == 3


def test_stored_clips_keep_their_sync(report, options):
    truth = next(row for row in report["rows"] if row["key"] == "bob")["films"][TRUTH]
    stored = load_sync(options.out / "work" / "bob.npz")
    assert stored == pytest.approx((truth["sync_offset"], truth["sync_confidence"]))


def test_finished_evaluation_takes_more_weights(  # noqa: PLR0917 - fixtures
    report, options, loud_mouth, tiny_bundle, tmp_path, monkeypatch, caplog
):
    """Stored parts are not measured again; a known name with other weights is refused.

    One of the added films shows no face: it counts as one, and the others are measured all the same.
    """
    out = tmp_path / "joined"
    shutil.copytree(options.out, out)
    name = next(iter(report["weights"]))
    added = shutil.copy(tiny_bundle, tmp_path / "added.safetensors")
    with FilmWriter(out / "films" / "bob" / f"added-{SELF}.mp4", (256, 256)) as writer:
        for _ in range(FRAMES):
            writer.write(np.full((256, 256, 3), 127, np.uint8))
    for module in (protocols, evaluation):
        monkeypatch.setattr(module, "cached_talker", lambda place, device: loud_mouth)
    monkeypatch.setattr(protocols, "measure_baselines", None)
    shipped = find_weights(None).networks
    evaluation.run(dataclasses.replace(options, out=out, weights=(Path(added), shipped), long_s=2.2))
    joined = json.loads((out / "report.json").read_text())
    assert list(joined["weights"]) == ["added", name]
    assert joined["films"][f"{name}: {SELF}"] == report["films"][f"{name}: {SELF}"]

    bob = next(row for row in joined["rows"] if row["key"] == "bob")["films"]
    assert bob[f"added: {SELF}"] == {"face_found": 0.0}
    assert bob[f"added: {STILL}"]["face_found"] == 1
    own = joined["films"][f"added: {SELF}"]
    assert (own["face_found"]["over_clips"][0], own["ssim"]["num_clips"]) == (0.5, 1)
    assert "the film counts as one without a face" in caplog.text
    assert f"Films that show no face, without other metrics: bob (added: {SELF})" in (out / "report.html").read_text()

    shutil.copy(write_bundle(tmp_path / "other.safetensors", seed=1), added)
    with pytest.raises(InputError, match="holds an evaluation of other weights"):
        evaluation.run(dataclasses.replace(options, out=out, weights=(Path(added),)))


def test_ablation_is_audited_beside_finished_weights(report, options, loud_mouth, tiny_bundle, tmp_path, monkeypatch):
    """The folder of a training run is enough; no film is made."""
    run = tmp_path / "no-augmentation" / "0"
    run.mkdir(parents=True)
    shutil.copy(tiny_bundle, run / "latest.safetensors")
    monkeypatch.setattr(
        evaluation, "cached_talker", lambda place, device: load_talker(place, "cpu") if place else loud_mouth
    )
    monkeypatch.setattr(protocols, "make_film", None)
    evaluation.run(dataclasses.replace(options, audit=(run,)))
    leakage = json.loads((options.out / "report.json").read_text())["leakage"]
    assert list(leakage) == [*report["weights"], "no-augmentation-0"]
    assert leakage["no-augmentation-0"]["weights"] == find_weights(tiny_bundle).digest
    probes = [set(each["probes"]) for each in leakage.values()]
    assert probes[0] == probes[1]
    assert leakage["no-augmentation-0"]["probes"] != next(iter(leakage.values()))["probes"]
    assert "no-augmentation-0" in (options.out / "report.html").read_text()


def test_best_weights_of_a_run_are_used(tiny_bundle, tmp_path):
    run = tmp_path / "a" / "1"
    run.mkdir(parents=True)
    for name in ("latest", "best"):
        shutil.copy(tiny_bundle, run / f"{name}.safetensors")
    assert evaluation._named((run, tiny_bundle, tiny_bundle)) == (
        ("a-1", run / "best.safetensors"),
        ("tiny", tiny_bundle),
        ("tiny (3)", tiny_bundle),
    )


@pytest.fixture
def sets(clips, tmp_path):
    """Ann as a set of real people with phoneme times, Bob as rendered."""
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        shutil.copy(clips / f"{name}.mp4", tmp_path / name)
    rows = [["b", 0.1, 0.2], ["æ", 0.2, 0.4], ["m", 5.0, 5.1]]
    (tmp_path / "ann" / "ann.json").write_text(json.dumps({"phonemes": rows}))
    (tmp_path / "sets.csv").write_text("name,clips,kind\nreal,ann,real\nheads,bob,rendered\n")
    return tmp_path / "sets.csv"


def test_sets_are_reported_apart_with_still_heads_alone(sets, loud, tmp_path):
    options = EvaluateOptions(sets=sets, out=tmp_path / "out", workers=1, judges=tmp_path, still_only=True)
    evaluation.run(options)
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    name = next(iter(found["weights"]))
    assert [each["kind"] for each in found["sets"]] == ["real", "rendered"]
    assert [facts["clips"] for facts in found["following"].values()] == [1, 1, 1]
    assert list(found["following"]) == ["real people", "set real", "set heads"]
    assert found["leakage"] == found["motion_change_shares"] == {}
    assert f"{name}: {SELF}" not in found["films"]
    ann = next(row for row in found["rows"] if row["key"] == "real-ann")
    assert ann["films"][TRUTH]["bilabials"] == 1
    assert ann["pose_source"] == "heads-bob"
    assert found["following"]["set heads"]["bilabials"][TRUTH] == {"met": 0, "of": 0}
    assert "Which input moves" not in (tmp_path / "out" / "report.html").read_text()


def test_silent_clip_is_excluded(clips, loud, tmp_path, caplog):
    shutil.copy(clips / "ann.mp4", tmp_path)
    sound = write_wav(tmp_path / "silence.wav", np.zeros(FRAMES * 640))
    pictures = list(read_frames(clips / "ann.mp4"))
    with FilmWriter(tmp_path / "mute.mp4", pictures[0].shape[1::-1], audio=sound) as film:
        for picture in pictures:
            film.write(picture)
    with pytest.raises(InputError, match="1 usable clips"):
        evaluation.run(EvaluateOptions(clips=tmp_path, out=tmp_path / "out", workers=1, judges=tmp_path))
    assert "mute is excluded: nobody speaks" in caplog.text


def test_one_clip_is_not_enough(clips, tmp_path, loud):
    shutil.copy(clips / "ann.mp4", tmp_path)
    with pytest.raises(InputError, match="1 usable clips"):
        evaluation.run(EvaluateOptions(clips=tmp_path, out=tmp_path / "out", workers=1, judges=tmp_path))


def test_compare_prints_a_table_of_films(clips, capsys):
    films = [str(clips / "ann.mp4"), str(clips / "bob.mp4")]
    with pytest.raises(SystemExit) as end:
        main(["compare", *films, "--reference", films[0]])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    ssim = next(line for line in lines if line.startswith("SSIM"))
    assert ssim.split()[1] == "1.000"
    assert float(ssim.split()[2]) < 0.9


def test_compare_names_a_film_without_a_face_and_measures_the_others(clips, tmp_path, capsys):
    grey = tmp_path / "grey.mp4"
    write_wav(tmp_path / "grey.wav", np.random.default_rng(0).normal(0, 0.1, 32_000))
    with FilmWriter(grey, (128, 128), audio=tmp_path / "grey.wav") as writer:
        for _ in range(50):
            writer.write(np.full((128, 128, 3), 128, np.uint8))
    with pytest.raises(SystemExit) as end:
        main(["compare", str(grey), str(clips / "ann.mp4")])
    assert end.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-1].endswith("grey.mp4")
    assert lines[-1].startswith(f"{grey} was not measured: ")
    assert "face" in lines[-1]
    assert any(line.startswith("sync confidence") for line in lines)


def test_compare_prints_json(clips, capsys):
    with pytest.raises(SystemExit):
        main(["compare", str(clips / "ann.mp4"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert "sync_confidence" in found["films"][str(clips / "ann.mp4")]
    assert "ssim" not in found["films"][str(clips / "ann.mp4")]


def test_compare_needs_a_film(capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare"])
    assert end.value.code == 2
    assert "missing: --films" in capsys.readouterr().err
