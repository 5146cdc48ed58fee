"""`pcavs synth`: writes rendered talking heads with their truth."""

import contextlib
import csv
import io
import itertools
import json
import logging
import multiprocessing
import os
import wave
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcavs.data.table import read_table
from pcavs.errors import InputError, OutputError
from pcavs.media.film import FilmWriter
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.synth.avatars import Avatar, blended, load_avatar
from pcavs.synth.camera import Camera, random_camera
from pcavs.synth.clip import Performance, perform
from pcavs.synth.options import SynthOptions
from pcavs.synth.render import Colour, HeadRenderer, Scene, bone_matrices
from pcavs.synth.scenes import random_scene
from pcavs.synth.voices import VoiceFile, read_voices, verify_languages
from pcavs.types import Waveform

logger = logging.getLogger(__name__)


class Shot(NamedTuple):
    """What the camera of one clip sees besides the head, and its faults."""

    scene: Scene
    camera: Camera
    grain_seed: int


def run(options: SynthOptions) -> Path:
    """Renders what is missing of the clips asked for; returns the path of KEY.json.

    Cost: about 3 s of one core for a clip of 4 s at 256 px; clips do not depend on each other, so `workers` processes
    take that many times less.

    Raises:
        InputError: No heads, no OpenGL, no eSpeak NG, a voice that cannot be used, or a length that is not whole
            frames.
        OutputError: The folder cannot be written.
    """
    frames = options.seconds * FRAME_RATE
    if abs(frames - round(frames)) > 1e-6 or frames < 1:
        raise InputError(f"a clip of {options.seconds} s is not a whole number of frames of 0.04 s; try 4.0")
    heads = {split: paths for split, paths in _heads(options).items() if paths}
    jobs: list[tuple[str, int]] = []
    for split, count in {"train": options.clips, "val": options.val_clips}.items():
        if count and split not in heads:
            raise InputError(f"no {split} heads in {options.avatars}; convert them, or name the split in --index")
        jobs += [(split, number) for number in range(options.first_clip, options.first_clip + count)]
    voices = read_voices(options.voices) if options.voices else ()
    verify_languages(options.languages)
    todo = [job for job in jobs if not _is_made(options.out, *job)]
    with contextlib.ExitStack() as stack:
        spread = _spread(options.workers, stack)
        done = spread(_make_clip, todo, itertools.repeat(heads), itertools.repeat(voices), itertools.repeat(options))
        for count, film in enumerate(done, 1):
            logger.info("%d/%d %s", count, len(todo), film.relative_to(options.out))
    return write_key(options.out)


def write_key(folder: Path) -> Path:
    """Gathers the truth files of a folder's complete clips into KEY.json, and lists the clips in index.csv.

    The list is what `pcavs prepare --index` takes.
    """
    truths = {}
    for path in sorted(folder.glob("*/*/*.json")):
        if path.with_suffix(".mp4").exists():
            truths[path.relative_to(folder).with_suffix(".mp4").as_posix()] = json.loads(path.read_text())
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(("path", "identity", "source", "split", "licence"))
    for name, truth in truths.items():
        table.writerow((name, truth["avatar"], "renders", truth["split"], "rendered by pcavs synth"))
    _write_whole(folder / "index.csv", lines.getvalue())
    return _write_whole(folder / "KEY.json", json.dumps(truths))


def render_film(renderer: HeadRenderer, shot: Shot, performance: Performance, path: Path, sound: Path | None) -> None:
    """Draws one performance into a film."""
    renderer.set_scene(shot.scene)
    size = (renderer.size_px, renderer.size_px)
    grain = np.random.default_rng(shot.grain_seed)
    with FilmWriter(path, size, audio=sound, overwrite=True) as film:
        for frame in range(performance.num_frames):
            film.write(shot.camera.photograph(renderer.render(performance.state(frame)), grain))


def write_wave(path: Path, waveform: Waveform, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Writes mono 16-bit sound."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.clip(np.round(waveform * 32767), -32768, 32767).astype("<i2").tobytes())


def _heads(options: SynthOptions) -> dict[str, list[Path]]:
    held_out = _held_out(options.index) if options.index else set()
    paths = sorted(options.avatars.glob("*.npz"))
    if not paths:
        raise InputError(f"no heads in {options.avatars}; convert them with scripts/convert_avatars.py first")
    return {
        "train": [path for path in paths if path.stem not in held_out],
        "val": [path for path in paths if path.stem in held_out],
    }


def _held_out(index: Path) -> set[str]:
    return {Path(row["path"]).stem for row in read_table(index, ("path", "split")) if row["split"] == "val"}


def _spread(workers: int, stack: contextlib.ExitStack) -> Callable[..., Iterable[Path]]:
    """Gives `map` over processes; over this one where one is enough."""
    if workers <= 1:
        return map
    # A fresh process each: an OpenGL context does not survive a fork. One thread of Mesa's CPU driver in each, or
    # the processes would fight for the cores.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    return stack.enter_context(pool).map


def _is_made(out: Path, split: str, number: int) -> bool:
    return any((out / split).glob(f"*/{number:04d}.mp4"))


def _make_clip(
    job: tuple[str, int], heads: dict[str, list[Path]], voices: Sequence[VoiceFile], options: SynthOptions
) -> Path:
    split, number = job
    random = np.random.default_rng([options.seed, split == "val", number])
    performance = perform(options.seconds, split == "val", random, voices, options.voices_share, options.languages)
    avatar = _choose_head(heads[split], number, options, random)
    folder = options.out / split / avatar.name
    film = folder / f"{number:04d}.mp4"
    _make_folder(folder)
    scene = random_scene(options.size_px, _mean_place(avatar, performance), random)
    shot = Shot(scene, random_camera(random), int(random.integers(2**31)))
    sound = film.with_suffix(".wav")
    write_wave(sound, performance.waveform)
    truth = {"avatar": avatar.name, "split": split, "seed": options.seed, **_shot_truth(shot, avatar)}
    _write_whole(film.with_suffix(".json"), json.dumps(truth | performance.truth()))
    with HeadRenderer(avatar, options.size_px) as renderer:
        # Last of the three files: a film means that its sound and truth are there.
        render_film(renderer, shot, performance, film, sound)
    return film


def _choose_head(heads: list[Path], number: int, options: SynthOptions, random: np.random.Generator) -> Avatar:
    # Heads take turns, so that any part of the work covers all of them.
    head = heads[number % len(heads)]
    avatar = load_avatar(head)
    if options.blend_with is None or len(heads) < 2 or random.random() < 0.5:
        return avatar
    other = heads[(number + int(random.integers(1, len(heads)))) % len(heads)]
    return blended(avatar, load_avatar(options.blend_with / other.name), float(random.uniform(0.3, 0.7)))


def _mean_place(avatar: Avatar, performance: Performance) -> Colour:
    """Where the face is on average: turned heads look into the picture from beside their resting place."""
    centre = np.append(avatar.face_centre, 1.0)
    states = [performance.state(frame) for frame in range(0, performance.num_frames, 5)]
    places = np.array([bone_matrices(avatar, state)[2] @ centre for state in states])
    x, y, z = (float(value) for value in (places.mean(axis=0) - centre)[:3])
    return x, y, z


def _shot_truth(shot: Shot, avatar: Avatar) -> dict[str, Any]:
    scene = shot.scene
    view = {"distance_m": scene.distance_m, "eye_share": scene.eye_share, "eye_distance_m": avatar.eye_distance_m}
    return {"scene": view, "camera": shot.camera.truth()}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error


def _write_whole(path: Path, text: str) -> Path:
    # Several runs may write into one folder.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    return part.replace(path)
