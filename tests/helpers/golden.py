"""The golden films: short films of fixed inputs that a refactoring must reproduce to the bit.

`golden_films` renders them; `python tests/helpers/golden.py` (with `tests` on the path) records their hashes again.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

import pcavs
from helpers.release import write_release
from helpers.talkers import write_networks
from pcavs.animate.film import Film
from pcavs.animate.talker import Talker
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.weights.convert import run as convert
from pcavs.weights.options import ConvertOptions

HASHES = Path(__file__).parents[1] / "data" / "golden.json"
SMALL = HASHES.with_name("golden.png")
"""Frames `SMALL_FRAMES` of the example's film, side by side."""
SMALL_FRAMES = (2, 8, 15)
PORTRAITS = ("female_70", "female_25", "male_50", "male_75")
SECONDS = 0.64
"""Length of each film: 16 frames."""

TIMELINE = {
    "format": "pcavs-pose-1",
    "segments": [
        {"kind": "keys", "keys": [{"at_s": 0}, {"at_s": 0.4, "yaw": 8}]},
        {"kind": "video", "path": "pose.mp4", "start_s": 1, "end_s": 1.4, "extrapolation": "bounce", "duration_s": 0.4},
        {"kind": "track", "path": "track.npz", "duration_s": 0.4, "extrapolation": "loop"},
        {
            "kind": "mix",
            "duration_s": 0.4,
            "parts": [{"kind": "preset", "name": "lively"}, {"kind": "keys", "keys": [{"at_s": 0, "roll": -5}]}],
        },
        {"kind": "preset", "name": "presenter", "seed": 3},
    ],
}


def machine() -> str:
    """Returns what the bits of a frame depend on besides the code: the processor and library versions."""
    core = ov.Core()
    name = core.get_property("CPU", "FULL_DEVICE_NAME")
    capabilities = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    versions = f"numpy {np.__version__}, opencv {cv2.__version__}, openvino {ov.__version__.split('-')[0]}"
    return f"{versions}, {name}, {' '.join(capabilities)}"


def frame_digest(film: Film) -> str:
    """Returns the SHA-256 of the sizes and pixels of all frames of a film."""
    digest = hashlib.sha256()
    for frame in film.frames:
        digest.update(repr(frame.shape).encode())
        digest.update(np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()


def golden_films(shared: Path, examples: Path, folder: Path) -> Iterator[tuple[str, Callable[[], Film]]]:
    """Yields the name of each film and a function that makes it.

    Args:
        shared: Folder with the portraits and the clip to dub.
        examples: Folder with the shipped inputs.
        folder: Where intermediate files are written.
    """
    talker = pcavs.load()
    speech, pose = examples / "speech.wav", examples / "pose.mp4"
    portraits = [shared / "data" / "portraits" / f"{name}.jpg" for name in PORTRAITS]
    clip = shared / "data" / "grid" / "multi_s4_lwbsza.mp4"
    timeline = write_timeline(folder, talker, pose)
    for picture in (examples / "face.jpg", *portraits):
        for turn in TURNS:
            yield f"{picture.stem} {turn}", film(talker, picture, speech, pose=pose, turn=TURNS[turn])
        yield f"{picture.stem} full frame", film(talker, picture, speech, pose="presenter", full_frame=True)
    yield "face timeline", film(talker, examples / "face.jpg", speech, pose=timeline, end=2.2)
    yield "face relative", film(talker, examples / "face.jpg", speech, pose=pose, relative=True, articulation=1.4)
    yield "face still", film(talker, examples / "face.jpg", speech, size=320, gate=-30.0)
    yield "clip dubbed", film(talker, clip, speech, full_frame=True)
    yield "clip turned", film(talker, clip, speech, full_frame=True, pose="yaw=12,pitch=-4")
    yield "references", film(talker, portraits[0], speech, references=portraits[1:3])
    paper = pcavs.load(write_paper(folder))
    yield "paper", film(paper, examples / "face.jpg", speech, pose=pose)
    yield "paper published", film(paper, examples / "face.jpg", speech, pose=pose, compat="published")


TURNS = {"depth": "depth", "network": "network"}


def film(talker: Talker, identity: Path, audio: Path, **settings: object) -> Callable[[], Film]:
    """Returns a function that makes a film, by default of `SECONDS` from 0.5 s on."""
    return lambda: talker.animate(identity, audio, **{"start": 0.5, "end": 0.5 + SECONDS, **settings})  # pyright: ignore


def write_timeline(folder: Path, talker: Talker, pose: Path) -> Path:
    """Writes a timeline with every kind of segment, and the files that it refers to."""
    from pcavs.face.landmarker import FaceLandmarker
    from pcavs.face.track import TrackPolicy
    from pcavs.pose.measure import measure_video
    from pcavs.pose.track import save_track

    measured = measure_video(pose, (2.0, 2.4), FaceLandmarker(), TrackPolicy(), lambda *_: None)
    save_track(measured.track, measured.report.found, folder / "track.npz", overwrite=True)
    (folder / "pose.mp4").write_bytes(pose.read_bytes())
    path = folder / "timeline.json"
    path.write_text(json.dumps(TIMELINE))
    return path


def write_paper(folder: Path) -> Path:
    """Converts a tiny random release in the published layout, and exports its networks in f32."""
    write_release(folder / "checkpoints", TINY_PAPER)
    options = ConvertOptions(checkpoints=folder / "checkpoints", out=folder / "talker.safetensors")
    return write_networks(convert(options, TalkerSpec(kind="paper", paper=TINY_PAPER)), folder / "paper")


def main(shared: Path, examples: Path, folder: Path) -> None:
    """Records the hashes; saves all frames in `folder`, to compare them where numerics are changed on purpose."""
    hashes: dict[str, str] = {}
    for name, make in golden_films(shared, examples, folder):
        hashes[name] = frame_digest(make())
        np.save(folder / f"{name}.npy", np.stack(list(make().frames)))
        sys.stdout.write(f"{name}: {hashes[name][:12]}\n")
    frames = np.load(folder / "face depth.npy")
    cv2.imwrite(str(SMALL), cv2.cvtColor(np.hstack(frames[list(SMALL_FRAMES)]), cv2.COLOR_RGB2BGR))
    HASHES.write_text(json.dumps({"machine": machine(), "films": hashes}, indent=1) + "\n")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
