"""`pcavs adapt`: refusals, held-out scores that decide which weights are written, and how little the weights change."""

import dataclasses
import logging
import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from helpers.sounds import write_noise
from helpers.talkers import LoudMouth, write_bundle
from pcavs.animate.talker import Talker
from pcavs.data.pack import read_pack
from pcavs.errors import DataError, InputError
from pcavs.mouth.inside import OwnTeeth
from pcavs.mouth.own_teeth import find_teeth
from pcavs.train import adapt as adapt_run
from pcavs.train.held_out import LipScore
from pcavs.train.options import AdaptOptions, TrainOptions
from pcavs.weights.bundle import load_bundle, read_spec
from pcavs.weights.locate import DEFAULT, find_weights, packaged_weights

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def write_film(path: Path, face: Path, seconds: float) -> Path:
    """Writes a film of a face whose mouth region goes up and down, with noise for speech."""
    picture = cv2.resize(cv2.imread(str(face)), (128, 128), interpolation=cv2.INTER_AREA)
    count = round(seconds * 25)
    noise = np.random.default_rng(0).normal(0, 0.1, count * 640).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height = video.width = 128
        track = container.add_stream("aac", rate=16_000, layout="mono")
        for t in range(count):
            moved = picture.copy()
            moved[80:] = np.roll(picture, t % 4 // 2, axis=0)[80:]
            container.mux(video.encode(av.VideoFrame.from_ndarray(moved, format="bgr24")))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(noise[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*track.encode(frame), *track.encode(None)])
    return path


def test_a_missing_video_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no video at .*; give a video of the person speaking"):
        adapt_run.run(AdaptOptions(video=tmp_path / "me.mp4", out=tmp_path / "me.safetensors"))


def test_an_existing_result_is_kept(examples: Path, tmp_path: Path):
    (tmp_path / "me.safetensors").write_text("mine")
    with pytest.raises(InputError, match="exists; choose another --out or add --overwrite"):
        adapt_run.run(AdaptOptions(video=examples / "pose.mp4", out=tmp_path / "me.safetensors"))


def test_a_video_without_sound_is_refused_with_the_reason(examples: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"no clip of .*pose\.mp4 can be used \(sound: .*\); .*report\.html") as caught:
        adapt_run.run(AdaptOptions(video=examples / "pose.mp4", out=tmp_path / "me.safetensors"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "me.safetensors").exists()


def test_a_short_video_is_refused_in_one_line(composite: Path, tmp_path: Path):
    video = write_film(tmp_path / "me.mp4", composite, 1.2)
    with pytest.raises(
        DataError, match=r"me\.mp4 has 1\.2 s of usable speech, 5 s are needed; give a longer"
    ) as caught:
        adapt_run.run(AdaptOptions(video=video, out=tmp_path / "me.safetensors"))
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_video_or_of_other_files_is_refused(composite: Path, tmp_path: Path):
    """A new video of the same name was taken for the one before, and `train` in a folder of the user's was deleted."""
    first = write_film(tmp_path / "me.mp4", composite, 1.2)
    options = AdaptOptions(video=first, out=tmp_path / "me.safetensors", run=tmp_path / "run")
    (tmp_path / "run/train").mkdir(parents=True)
    with pytest.raises(InputError, match="run holds other files than those of pcavs adapt; choose another --run"):
        adapt_run.run(options)
    assert (tmp_path / "run/train").is_dir()
    (tmp_path / "run/film").mkdir()
    (tmp_path / "run/film/me.mp4").write_bytes(first.read_bytes()[:-1])
    with pytest.raises(InputError, match="run holds what was made of another video; remove it, or choose another"):
        adapt_run.run(options)


@pytest.mark.parametrize(
    ("lengths", "wanted", "cuts"),
    [
        ([100, 100], 50, [100, 50]),
        ([100, 40], 50, [100, 0]),
        ([100, 40], 60, [80, 0]),
        ([100, 55], 50, [100, 0]),
        ([250], 62, [188]),
    ],
)
def test_the_end_of_the_video_is_held_out(lengths, wanted, cuts):
    assert adapt_run.held_out_from(lengths, wanted) == cuts


def test_adapt_trains_on_the_beginning_and_scores_films_of_the_end(
    composite: Path, tmp_path: Path, caplog, monkeypatch
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(adapt_run, "MIN_FRAMES", 60)
    monkeypatch.setattr(adapt_run, "HELD_OUT_FRAMES", (20, 20))
    start = write_bundle(tmp_path / "tiny.safetensors")
    video = write_film(tmp_path / "me.mp4", composite, 2.8)
    options = AdaptOptions(video=video, out=tmp_path / "me.safetensors", weights=start, steps=2, device="cpu")
    adapted = adapt_run.run(options)
    assert adapted.path == options.out
    packed = read_pack(next((tmp_path / "me.run").rglob("pack-*")))
    assert [(clip.split, clip.num_frames) for clip in packed] == [("train", 50), ("val", 20)]
    assert "0.8 s are held out; before: lips" in caplog.text
    assert "step 2: lips" in caplog.text
    before, after = load_bundle(start), load_bundle(adapted.path)
    assert after.provenance["adapted_from"] == "tiny.safetensors"
    assert after.provenance["adapted_steps"] == str(adapted.steps)
    assert (after.licence, after.spec) == (before.licence, before.spec)
    assert adapted.after.error_mm <= adapted.before.error_mm


@pytest.fixture
def scripted(drawn_packs: Path, tmp_path: Path, monkeypatch):
    """Returns a function that adapts on drawn packs, with the given errors as scores."""
    start = write_bundle(tmp_path / "tiny.safetensors")
    monkeypatch.setattr(
        adapt_run, "_footage", lambda *_: adapt_run.Footage(drawn_packs, [], None, OwnTeeth(upper_cm=0.3))
    )
    monkeypatch.setattr(adapt_run, "SCORE_STEPS", 1)
    small = {"clips": 2, "moments": 2}
    training = adapt_run._training
    monkeypatch.setattr(adapt_run, "_training", lambda *given: dataclasses.replace(training(*given), **small))

    class Film:
        seconds = 2.0

        def __init__(self, *_: object) -> None: ...

    monkeypatch.setattr(adapt_run, "HeldOutFilm", Film)

    def adapt(errors_mm: list[float], **settings: object):
        scores = iter(errors_mm)
        score = lambda *_: (LipScore(next(scores), 0.5, 0.2), 0.0)  # noqa: E731
        monkeypatch.setattr(adapt_run, "_score", score)
        (tmp_path / "me.mp4").touch()
        options = AdaptOptions(video=tmp_path / "me.mp4", out=tmp_path / "me.safetensors", weights=start, **settings)
        return adapt_run.run(options), load_bundle(start).tensors, load_bundle(options.out).tensors, list(scores)

    return adapt


def test_the_better_weights_are_written_and_change_generator_and_identity_encoder_little(scripted):
    adapted, before, after, _ = scripted([1.5, 1.4, 1.3, 1.6], steps=3)
    assert find_teeth(find_weights(adapted.path)) == OwnTeeth(upper_cm=0.3)
    assert (adapted.steps, adapted.before.error_mm, adapted.after.error_mm) == (2, 1.5, 1.3)
    moved = {name for name, value in before.items() if not np.allclose(after[name], value, atol=2e-3)}
    assert all(name.startswith(("identity.", "generator.")) for name in moved), sorted(moved)
    changed = [name for name, value in before.items() if np.abs(after[name] - value).max() > 1e-4]
    assert any(name.startswith("generator.") for name in changed)
    assert all(np.abs(after[name] - value).max() < 0.05 for name, value in before.items())


def test_the_weights_of_the_start_are_written_if_adaptation_made_films_worse(scripted, caplog):
    caplog.set_level(logging.INFO)
    adapted, before, after, unread = scripted([1.5, 1.6, 1.7, 1.8, 1.4], steps=9)
    assert adapted.steps == 0
    assert all(np.allclose(after[name], value, atol=2e-3) for name, value in before.items())
    assert "no weights were better on the held-out seconds: those of the start are written" in caplog.text
    assert "stopped: the score no longer improves" in caplog.text
    assert unread == [1.4], "training goes on after three scores in a row that are not better"


def test_weights_are_kept_if_the_film_of_the_start_shows_no_face(scripted, caplog):
    caplog.set_level(logging.INFO)
    assert scripted([math.inf, 1.4], steps=1)[0].steps == 1
    assert "kept step 1: the film of the start shows no face" in caplog.text
    assert "inf mm" not in caplog.text


def test_nearer_lips_that_are_less_in_sync_are_not_better():
    start = LipScore(1.5, 0.5, 0.30)
    assert adapt_run.is_better(LipScore(1.4, 0.5, 0.295), start, start)
    assert not adapt_run.is_better(LipScore(1.4, 0.5, 0.28), start, start)
    assert not adapt_run.is_better(LipScore(1.4995, 0.6, 0.4), start, start)


def test_training_stops_when_the_time_is_up(scripted, caplog):
    caplog.set_level(logging.INFO)
    adapted = scripted([1.5, 1.4], steps=10_000, minutes=0.001)[0]
    assert adapted.steps == 1
    assert "stopped: the time is up" in caplog.text


def test_the_speech_encoder_of_the_start_is_what_adapt_trains_with(tmp_path: Path):
    spec = read_spec(packaged_weights() / f"{DEFAULT}.safetensors")
    training: TrainOptions = adapt_run._training(
        AdaptOptions(video=tmp_path, out=tmp_path),
        tmp_path,
        spec,
        adapt_run.Footage(tmp_path, [], None, OwnTeeth()),
        tmp_path,
    )
    assert training.features == ("mel" if spec.flow.features is None else "whisper")


def test_films_of_a_person_draw_the_persons_teeth(landmarker, composite: Path, tmp_path: Path):
    sound = write_noise(tmp_path / "noise.wav", 0.4)
    own = OwnTeeth(upper_cm=0.4, whiteness=0.8)

    def frames(teeth: OwnTeeth | None) -> np.ndarray:
        talker = Talker(LoudMouth(), landmarker, "loud-mouth", "0" * 64, teeth=teeth)
        return np.stack(list(talker.animate(composite, sound, size=128).frames)).astype(int)

    drawn, persons = frames(None), frames(own)
    changed = np.abs(drawn - persons).max(axis=(0, 3)) > 4
    rows, columns = np.nonzero(changed)
    assert len(rows) > 4, np.abs(drawn - persons).max()
    assert rows.min() > 60
    assert columns.max() - columns.min() < 64
