"""Fits the maps from morph weights to tracked lip shapes of rendered heads (pcavs.synth.lip_maps).

    python scripts/fit_lip_maps.py --avatars HEADS --index index.csv --frames FRAMES --out lip_maps.npz

Each head is drawn from the front with every viseme alone, with smiles, and with mouths of random scripts;
the face tracker measures its lips. FRAMES keeps what was measured, one file for each head, so that a run can be
continued. A quarter of the frames of random scripts is held out of a first fit, which is reported; the maps are then
fitted to all frames. Needs the extra `synth`, OpenGL and eSpeak NG; a head takes about half a minute.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.data.table import read_table
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import INNER_LIPS, LIPS, lips_shape
from pcavs.face.track import TrackPolicy, track_face
from pcavs.synth.avatars import load_avatar
from pcavs.synth.lip_maps import MORPHS, LipMaps, fit, save, script_morphs
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.synth.script import random_script
from pcavs.types import Picture

SIZE_PX: Final = 256
NUM_NEUTRAL: Final = 4
STRENGTH: Final = (0.3, 0.95)
"""Range of the weight at which each morph is shown alone."""
NUM_SCRIPTS, FRAMES_A_SCRIPT, SECONDS = 5, 8, 4.0
"""Random scripts for each head, frames drawn of each, and their length."""
HELD_OUT_SHARE: Final = 0.25
"""Share of the frames of random scripts that the reported fit does not see."""
RIDGE, OWN_RIDGE = 0.1, 0.3
"""Penalties of the two fits; tuned on the held-out frames of the training heads."""
MOUTH_CORNERS: Final = (78, 308)
"""Mesh points of the inner corners."""


def main() -> None:
    """Draws and tracks the heads, fits the maps, prints how well they do and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatars", type=Path, required=True, help="folder of converted heads")
    parser.add_argument("--index", type=Path, required=True, help="CSV with path and split of the heads")
    parser.add_argument("--frames", type=Path, required=True, help="folder for what was measured")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    held_out = {
        Path(row["path"]).stem for row in read_table(arguments.index, ("path", "split")) if row["split"] == "val"
    }
    arguments.frames.mkdir(parents=True, exist_ok=True)
    landmarker, measured = FaceLandmarker(), {}
    for number, path in enumerate(sorted(arguments.avatars.glob("*.npz"))):
        file = arguments.frames / path.name
        if not file.exists():
            morphs, lips = measure(path, landmarker, np.random.default_rng([3, number]))
            np.savez(file, morphs=morphs, lips=lips)
            print(f"{path.stem}: {len(lips)} frames", flush=True)
        with np.load(file) as stored:
            measured[path.stem] = stored["morphs"], stored["lips"]
    report(measured)
    neutral, samples = split(measured, slice(None))
    shared, own = fit(neutral, samples, RIDGE, OWN_RIDGE)
    heads = tuple(measured)
    maps = LipMaps(heads=heads, held_out=tuple(h in held_out for h in heads), neutral=neutral, shared=shared, own=own)
    save(maps, arguments.out)


def measure(
    path: Path, landmarker: FaceLandmarker, random: np.random.Generator
) -> tuple[Float32[np.ndarray, "frames morphs"], Float32[np.ndarray, "frames 80"]]:
    """Draws a head with a designed set of mouths and returns their morph weights and tracked lip shapes."""
    states, rows = designed_states(random)
    for _ in range(NUM_SCRIPTS):
        script = random_script(SECONDS, held_out=False, random=random)
        morphs = script_morphs(script)
        for frame in random.choice(len(morphs), FRAMES_A_SCRIPT, replace=False).tolist():
            rows.append(morphs[frame])
            states.append(script.state(frame).morphs)
    grey = np.full((SIZE_PX, SIZE_PX, 3), 120, np.uint8)
    lights = (
        Light(direction=(0.5, 0.5, 0.7), colour=(0.8, 0.8, 0.8)),
        Light(direction=(-0.6, 0.2, 0.77), colour=(0.3, 0.3, 0.3)),
        Light(direction=(0.0, 0.7, -0.7), colour=(0.2, 0.2, 0.2)),
    )
    scene = Scene(background=grey, lights=lights, sky=(0.4, 0.4, 0.4), ground=(0.25, 0.25, 0.25), eye_share=0.22)
    eyes_open = {"ReyeClose": 0.0, "LeyeClose": 0.0}
    with HeadRenderer(load_avatar(path), SIZE_PX) as renderer:
        renderer.set_scene(scene)
        pictures: list[Picture] = [renderer.render(HeadState(morphs={**morphs, **eyes_open})) for morphs in states]
    track = track_face(pictures, landmarker, path.stem, TrackPolicy(smoothed=False))
    return np.array(rows, np.float32)[track.found], lips_shape(track.meshes)[track.found]


def designed_states(
    random: np.random.Generator,
) -> tuple[list[dict[str, float]], list[Float32[np.ndarray, " morphs"]]]:
    """Returns the face at rest, each morph alone, a smile, and a smile with closed and with wide lips."""
    weights: list[dict[str, float]] = [{} for _ in range(NUM_NEUTRAL)]
    weights += [{name: float(random.uniform(*STRENGTH))} for name in MORPHS[:-2]]
    smile = {"RsmileClose": 0.4, "LsmileClose": 0.4}
    weights += [smile, *(smile | {name: 0.6} for name in ("MPB_Up", "TD_I"))]
    rows = [np.array([row.get(name, 0.0) for name in MORPHS], np.float32) for row in weights]
    return [_with_followers(row) for row in weights], rows


def _with_followers(weights: dict[str, float]) -> dict[str, float]:
    """Adds the morphs of lower lip, teeth and tongue that go with those of the lips."""
    followers = {f"t_{name}": weight for name, weight in weights.items()}
    if "MPB_Up" in weights:
        followers |= {"MPB_Down": weights["MPB_Up"], "t_MPB": weights["MPB_Up"]}
    return {**weights, **followers}


def split(
    measured: dict[str, tuple[np.ndarray, np.ndarray]], kept: slice
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Returns the lips of each head at rest, and the frames of each head in `kept`."""
    neutral = [lips[:NUM_NEUTRAL].mean(axis=0) for _, lips in measured.values()]
    return np.stack(neutral), [(morphs[kept], lips[kept]) for morphs, lips in measured.values()]


def report(measured: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Fits without the last frames of random scripts and prints how well their lips are predicted."""
    test = round(NUM_SCRIPTS * FRAMES_A_SCRIPT * HELD_OUT_SHARE)
    neutral, samples = split(measured, slice(-test))
    shared, own = fit(neutral, samples, RIDGE, OWN_RIDGE)
    heads = tuple(measured)
    maps = LipMaps(heads=heads, held_out=(False,) * len(heads), neutral=neutral, shared=shared, own=own)
    figures = []
    for number, (morphs, lips) in enumerate(split(measured, slice(-test, None))[1]):
        guess = maps.lips(number, morphs)
        row = [r2(lips - neutral[number], guess - neutral[number])]
        for name in ("opening", "width"):
            true, found = (mouth_measures(shape)[name] for shape in (lips, guess))
            row += [r2(true, found), float(np.corrcoef(true, found)[0, 1])]
        figures.append(row)
    table = np.array(figures)
    print("held-out frames of random scripts: median over heads (worst head)")
    names = ("R2 of all points", "R2 of opening", "r of opening", "R2 of width", "r of width")
    for name, column in zip(names, table.T, strict=True):
        print(f"  {name}: {np.median(column):.3f} ({column.min():.3f})")


def mouth_measures(lips: Float32[np.ndarray, "frames 80"]) -> dict[str, np.ndarray]:
    """Returns the gap between the inner lips and the distance of their corners, in cm."""
    points = lips.reshape(len(lips), -1, 2)
    upper, lower, left, right = (
        points[:, LIPS.index(point)] for point in (INNER_LIPS[5], INNER_LIPS[15], *MOUTH_CORNERS)
    )
    return {"opening": np.linalg.norm(upper - lower, axis=1), "width": np.linalg.norm(left - right, axis=1)}


def r2(true: np.ndarray, found: np.ndarray) -> float:
    """Returns the share of the variance that is explained."""
    return float(1 - ((true - found) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum())


if __name__ == "__main__":
    main()
