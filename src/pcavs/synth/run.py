"""`pcavs synth`: writes rendered talking heads with their truth."""

import csv
import json
import logging
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np

from pcavs.errors import InputError, OutputError
from pcavs.media.film import FilmWriter
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.synth.avatars import Avatar, blended, load_avatar
from pcavs.synth.clip import Performance, perform
from pcavs.synth.options import SynthOptions
from pcavs.synth.render import Colour, HeadRenderer, Scene, bone_matrices
from pcavs.synth.scenes import random_scene
from pcavs.types import Waveform

logger = logging.getLogger(__name__)


def run(options: SynthOptions) -> Path:
    """Renders what is missing of the clips asked for; returns the path of KEY.json.

    Cost: about 3 s of one core for a clip of 4 s at 256 px.

    Raises:
        InputError: No heads, no OpenGL, no eSpeak NG, or a length that is not whole frames.
        OutputError: The folder cannot be written.
    """
    frames = options.seconds * FRAME_RATE
    if abs(frames - round(frames)) > 1e-6 or frames < 1:
        raise InputError(f"a clip of {options.seconds} s is not a whole number of frames of 0.04 s; try 4.0")
    heads = {split: paths for split, paths in _heads(options).items() if paths}
    wanted = {"train": options.clips, "val": options.val_clips}
    for split, count in wanted.items():
        if count and split not in heads:
            raise InputError(f"no {split} heads in {options.avatars}; convert them, or name the split in --index")
        for number in range(options.first_clip, options.first_clip + count):
            _make_clip(heads[split], split, number, options)
    return write_key(options.out)


def write_key(folder: Path) -> Path:
    """Gathers the truth files of a folder's complete clips into KEY.json."""
    truths = {}
    for path in sorted(folder.glob("*/*/*.json")):
        if path.with_suffix(".mp4").exists():
            truths[str(path.relative_to(folder).with_suffix(".mp4"))] = json.loads(path.read_text())
    return _write_whole(folder / "KEY.json", json.dumps(truths))


def render_film(renderer: HeadRenderer, scene: Scene, performance: Performance, path: Path, sound: Path | None) -> None:
    """Draws one performance into a film."""
    renderer.set_scene(scene)
    size = (renderer.size_px, renderer.size_px)
    with FilmWriter(path, size, audio=sound, overwrite=True) as film:
        for frame in range(performance.num_frames):
            film.write(renderer.render(performance.state(frame)))


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
        raise InputError(f"no heads in {options.avatars}; convert them with tools/convert_avatars.py first")
    return {
        "train": [path for path in paths if path.stem not in held_out],
        "val": [path for path in paths if path.stem in held_out],
    }


def _held_out(index: Path) -> set[str]:
    try:
        with index.open(newline="", encoding="utf-8") as file:
            return {Path(row["path"]).stem for row in csv.DictReader(file) if row["split"] == "val"}
    except (OSError, KeyError) as error:
        raise InputError(f"{index} is not a CSV with the columns path and split: {error}") from error


def _make_clip(heads: list[Path], split: str, number: int, options: SynthOptions) -> None:
    if list((options.out / split).glob(f"*/{number:04d}.mp4")):
        return
    random = np.random.default_rng([options.seed, split == "val", number])
    performance = perform(options.seconds, split == "val", random)
    avatar = _choose_head(heads, number, options, random)
    folder = options.out / split / avatar.name
    film = folder / f"{number:04d}.mp4"
    _make_folder(folder)
    scene = random_scene(options.size_px, _mean_place(avatar, performance), random)
    sound = film.with_suffix(".wav")
    write_wave(sound, performance.waveform)
    truth = {"avatar": avatar.name, "split": split, "seed": options.seed, "scene": _scene_truth(scene, avatar)}
    _write_whole(film.with_suffix(".json"), json.dumps(truth | performance.truth()))
    with HeadRenderer(avatar, options.size_px) as renderer:
        # Last of the three files: a film means that its sound and truth are there.
        render_film(renderer, scene, performance, film, sound)
    logger.info("%s/%s/%s: %s", split, avatar.name, film.name, performance.voice.name)


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


def _scene_truth(scene: Scene, avatar: Avatar) -> dict[str, Any]:
    return {"distance_m": scene.distance_m, "eye_share": scene.eye_share, "eye_distance_m": avatar.eye_distance_m}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error


def _write_whole(path: Path, text: str) -> Path:
    # Several runs may write into one folder.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    return part.replace(path)
