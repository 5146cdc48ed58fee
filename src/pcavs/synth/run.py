"""`pcavs synth`: renders talking heads and writes them with their sound and truth.

A clip is drawn as a script (`pcavs.synth.script`), a head and a scene, rendered frame by frame, degraded by camera
faults and encoded. Clips do not depend on each other; all that is random in one follows from seed, split and number.
"""

import contextlib
import csv
import io
import itertools
import json
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pcavs.data.table import read_table
from pcavs.errors import InputError, OutputError
from pcavs.media.files import refuse_replacing, write_text, write_wav
from pcavs.media.film import FilmWriter
from pcavs.spec import FRAME_RATE
from pcavs.synth.avatars import Avatar, blend_avatars, load_avatar
from pcavs.synth.camera_faults import CameraFaults, random_camera_faults
from pcavs.synth.options import SynthOptions
from pcavs.synth.render import HeadRenderer, Scene, Vector, bone_matrices
from pcavs.synth.scenes import random_scene
from pcavs.synth.script import ClipScript, random_script
from pcavs.synth.voices import VoiceRow, read_voices, verify_languages

logger = logging.getLogger(__name__)

_UNBLENDED_SHARE: Final = 0.5
"""Share of the clips that show one head as it is, where heads are mixed."""

_BLEND: Final = (0.3, 0.7)
"""Range of the second head's fraction in a mixture."""

_AIM_STRIDE: Final = 5
"""Stride: the mean place of the face is taken over every fifth frame."""

_FRAME_TOLERANCE: Final = 1e-6
"""Largest difference of a clip's length from a whole number of frames."""


class RenderSetup(NamedTuple):
    """Scene and camera of one clip."""

    scene: Scene
    faults: CameraFaults
    grain_seed: int


def run(options: SynthOptions) -> Path:
    """Renders the clips that do not exist yet and returns the path of KEY.json.

    A clip of 4 s at 256 px takes about 3 s of one processor core.

    Raises:
        InputError: There are no heads, no OpenGL or no eSpeak NG, a voice cannot be used, or the length is not a whole
            number of frames.
        OutputError: The folder cannot be written.
    """
    tables = [("the table of heads", options.index), ("the table of voices", options.voices)]
    refuse_replacing([options.out / "index.csv", options.out / "KEY.json"], tables)
    frames = options.seconds * FRAME_RATE
    if abs(frames - round(frames)) > _FRAME_TOLERANCE or frames < 1:
        raise InputError(f"a clip of {options.seconds} s is not a whole number of frames of 0.04 s; try 4.0")
    heads = {split: paths for split, paths in _find_heads(options).items() if paths}
    jobs: list[tuple[str, int]] = []
    for split, count in {"train": options.clips, "val": options.val_clips}.items():
        if count and split not in heads:
            raise InputError(f"no {split} heads in {options.avatars}; convert them, or name the split in --index")
        jobs += [(split, number) for number in range(options.first_clip, options.first_clip + count)]
    voices = read_voices(options.voices) if options.voices else ()
    verify_languages(options.languages)
    missing = [job for job in jobs if not _exists(options.out, *job)]
    with contextlib.ExitStack() as stack:
        run_all = _parallel_map(options.workers, stack)
        arguments = itertools.repeat(heads), itertools.repeat(voices), itertools.repeat(options)
        for count, film in enumerate(run_all(_make_clip, missing, *arguments), 1):
            logger.info("%d/%d %s", count, len(missing), film.relative_to(options.out))
    return write_key(options.out)


def write_key(folder: Path) -> Path:
    """Collects the truth of a folder's complete clips in KEY.json and lists them in index.csv, for `pcavs prepare`.

    Raises:
        OutputError: The files cannot be written.
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
    write_text(folder / "index.csv", lines.getvalue())
    key = folder / "KEY.json"
    write_text(key, json.dumps(truths))
    return key


def render_clip(renderer: HeadRenderer, setup: RenderSetup, script: ClipScript, path: Path, sound: Path | None) -> None:
    """Renders a clip into a video.

    Args:
        renderer: Holds the head.
        setup: Scene and camera.
        script: Motion of the head.
        path: The video, replaced where it exists.
        sound: Sound file of the clip; None makes a silent video.
    """
    renderer.set_scene(setup.scene)
    size = (renderer.size_px, renderer.size_px)
    grain = np.random.default_rng(setup.grain_seed)
    with FilmWriter(path, size, audio=sound, overwrite=True) as film:
        for frame in range(script.num_frames):
            film.write(setup.faults.apply(renderer.render(script.state(frame)), grain))


def _find_heads(options: SynthOptions) -> dict[str, list[Path]]:
    """Lists the heads of each split."""
    held_out = _held_out_heads(options.index) if options.index else set()
    paths = sorted(options.avatars.glob("*.npz"))
    if not paths:
        raise InputError(f"no heads in {options.avatars}; convert them with scripts/convert_avatars.py first")
    return {
        "train": [path for path in paths if path.stem not in held_out],
        "val": [path for path in paths if path.stem in held_out],
    }


def _held_out_heads(index: Path) -> set[str]:
    return {Path(row["path"]).stem for row in read_table(index, ("path", "split")) if row["split"] == "val"}


def _parallel_map(workers: int, stack: contextlib.ExitStack) -> Callable[..., Iterable[Path]]:
    """Returns a `map` over several processes, or the plain one for a single worker."""
    if workers <= 1:
        return map
    # Spawned, not forked: an OpenGL context does not survive a fork. Mesa's CPU driver gets one thread in each process,
    # or they would compete for the cores.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    return stack.enter_context(pool).map


def _exists(out: Path, split: str, number: int) -> bool:
    return any((out / split).glob(f"*/{number:04d}.mp4"))


def _make_clip(
    job: tuple[str, int], heads: dict[str, list[Path]], voices: Sequence[VoiceRow], options: SynthOptions
) -> Path:
    """Draws and renders one clip; returns the path of its video."""
    split, number = job
    random = np.random.default_rng([options.seed, split == "val", number])
    script = random_script(options.seconds, split == "val", random, voices, options.voices_share, options.languages)
    avatar = _choose_head(heads[split], number, options, random)
    folder = options.out / split / avatar.name
    film = folder / f"{number:04d}.mp4"
    _make_folder(folder)
    scene = random_scene(options.size_px, _mean_face_shift(avatar, script), random)
    setup = RenderSetup(scene, random_camera_faults(random), int(random.integers(2**31)))
    sound = film.with_suffix(".wav")
    write_wav(sound, script.waveform)
    truth = {"avatar": avatar.name, "split": split, "seed": options.seed, **_setup_truth(setup, avatar)}
    write_text(film.with_suffix(".json"), json.dumps(truth | script.truth()))
    with HeadRenderer(avatar, options.size_px) as renderer:
        # The video is written last: where it exists, its sound and truth exist too.
        render_clip(renderer, setup, script, film, sound)
    return film


def _choose_head(heads: list[Path], number: int, options: SynthOptions, random: np.random.Generator) -> Avatar:
    # Heads take turns, so that any part of the work covers all of them.
    head = heads[number % len(heads)]
    avatar = load_avatar(head)
    if options.blend_with is None or len(heads) < 2 or random.random() < _UNBLENDED_SHARE:
        return avatar
    other = heads[(number + int(random.integers(1, len(heads)))) % len(heads)]
    return blend_avatars(avatar, load_avatar(options.blend_with / other.name), float(random.uniform(*_BLEND)))


def _mean_face_shift(avatar: Avatar, script: ClipScript) -> Vector:
    """Returns the mean place of the face's centre, in metres from its resting place, at which the camera looks."""
    centre = np.append(avatar.face_centre, 1.0)
    states = [script.state(frame) for frame in range(0, script.num_frames, _AIM_STRIDE)]
    places = np.array([bone_matrices(avatar, state)[2] @ centre for state in states])
    x, y, z = (float(value) for value in (places.mean(axis=0) - centre)[:3])
    return x, y, z


def _setup_truth(setup: RenderSetup, avatar: Avatar) -> dict[str, Any]:
    scene = setup.scene
    view = {"distance_m": scene.distance_m, "eye_share": scene.eye_share, "eye_distance_m": avatar.eye_distance_m}
    return {"scene": view, "camera": setup.faults.truth()}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder} ({error.strerror}); choose another --out") from error
