"""Measures how well a film's face follows another film's: lids, gaze, brows, mouth and head.

    python benchmarks/measure_performance.py follow FILM... [--photo PICTURE] [--seconds 8] [--mouth]
    python benchmarks/measure_performance.py exchange FILM FILM --photo PICTURE
    python benchmarks/measure_performance.py cost FILM --photo PICTURE
    python benchmarks/measure_performance.py likeness FILM... --photos PICTURE... [--sheet P.png]

`follow` prints, for each film, the Pearson correlation and the mean error of what is measured in the new film against
the driver. Without a photo, the film's own first frame is the identity (self-driven). `--mouth` speaks its sound,
then drives the mouth by sight. `exchange` borrows everything from the first film, then one
part from the second, and prints by how much each measurement changed, as a share of the change of borrowing all from
the second. `likeness` prints how like the photographs films with a whole performance are, beside films with the head
alone: the cosine of the talker's identity vectors, and the sharpness, of four frames each; its films may be saved
tracks. The sheet shows these frames, a row for each photograph and film: with the performance, then the head
alone. `cost` prints the processor time of a frame with each part of a performance and with natural motion, what
each adds to that without it, and what reading the inputs takes, on one thread. Films with `--mouth` need sound;
without it the speech of the examples is spoken. Needs no torch.
"""

import argparse
import itertools
import logging
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.track import FaceFollower, TrackPolicy, fill_gaps
from pcavs.media.video import read_frames
from pcavs.pose import face

logger = logging.getLogger("measure_performance")

SPEECH: Final = Path(__file__).parents[1] / "examples" / "speech.wav"
READ_SIDE_PX: Final = 1280
NAMES: Final = ("lids", "gaze yaw", "gaze pitch", "brows", "mouth width", "mouth opening", "yaw", "pitch", "roll")
PARTS: Final = ("pose", "eyes", "brows", "mouth")


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("follow", "exchange", "cost", "likeness"))
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", default=[])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--mouth", action="store_true")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    if options.what == "cost":
        cv2.setNumThreads(1)
    talker, landmarker = load_talker(None, "auto", threads=int(options.what == "cost")), FaceLandmarker()
    if options.what == "follow":
        for film in options.films:
            follow(talker, landmarker, film, options)
    elif options.what == "exchange":
        exchange(talker, landmarker, options)
    elif options.what == "likeness":
        likeness(talker, options)
    else:
        cost(talker, options)


def measured(frames: list[np.ndarray], landmarker: FaceLandmarker) -> np.ndarray:
    """Returns a row of `NAMES` for each frame."""
    follower = FaceFollower(landmarker, TrackPolicy(), "the film")
    meshes = fill_gaps([follower.step(frame) for frame in frames])
    rows = face.measure_face(meshes).astype(np.float64)
    angles = angles_deg(head_pose(meshes).rotation.astype(np.float64))
    openings = rows[:, face.LEFT_OPENING : face.RIGHT_OPENING + 1].mean(axis=1)
    brows = rows[:, face.LEFT_BROW : face.RIGHT_BROW + 1].mean(axis=1)
    others = rows[:, [face.YAW, face.PITCH]], brows, rows[:, [face.MOUTH_WIDTH, face.MOUTH_OPENING]]
    return np.column_stack([openings, *others, angles])


def frames_of(path: Path, seconds: float) -> list[np.ndarray]:
    """Reads the frames of a film."""
    return list(read_frames(path, 0.0, seconds, READ_SIDE_PX))


def follow(talker: Talker, landmarker: FaceLandmarker, path: Path, options: argparse.Namespace) -> None:
    """Prints how a film follows another."""
    driver = measured(frames_of(path, options.seconds), landmarker)
    with tempfile.TemporaryDirectory() as folder:
        photo = options.photo
        if photo is None:
            photo = Path(folder) / "first.png"
            cv2.imwrite(str(photo), next(read_frames(path, 0.0, 0.04, READ_SIDE_PX))[..., ::-1])
        ways: dict[str, dict[str, Any]] = {"performance": {"performance": str(path)}}
        if options.mouth:
            ways["mouth by sight"] = {"performance": str(path), "mouth": str(path)}
        audio = path if options.mouth else SPEECH
        for name, settings in ways.items():
            film = talker.animate(photo, audio, end=options.seconds, size=options.size, **settings)
            compare(f"{path.name}, {name}", driver, measured(list(film.frames), landmarker))


def compare(name: str, driver: np.ndarray, followed: np.ndarray) -> None:
    """Prints correlation and mean error, the latter after both means are subtracted."""
    length = min(len(driver), len(followed))
    driver, followed = driver[:length], followed[:length]
    words = []
    for column, what in enumerate(NAMES):
        a, b = driver[:, column] - driver[:, column].mean(), followed[:, column] - followed[:, column].mean()
        scale = float(np.sqrt((a @ a) * (b @ b)))
        words.append(f"{what} {a @ b / scale if scale > 0 else 0:.2f} ({np.abs(a - b).mean():.2g})")
    logger.info("%s: %d frames: %s", name, length, "; ".join(words))


def exchange(talker: Talker, landmarker: FaceLandmarker, options: argparse.Namespace) -> None:
    """Prints which measurements each part moves."""
    first, second = (str(each) for each in options.films)

    def rows(**settings: Any) -> np.ndarray:
        film = talker.animate(options.photo, SPEECH, end=options.seconds, size=options.size, **settings)
        return measured(list(film.frames), landmarker)

    base = rows(performance=first, mouth=first)
    largest = np.abs(rows(performance=second, mouth=second) - base).mean(axis=0)
    logger.info("part from the second film: %s", "; ".join(NAMES))
    for part in PARTS:
        changed = np.abs(rows(**({"performance": first, "mouth": first} | {part: second})) - base).mean(axis=0)
        logger.info("%s: %s", part, "; ".join(f"{share:.2f}" for share in changed / np.maximum(largest, 1e-6)))


def cost(talker: Talker, options: argparse.Namespace) -> None:
    """Prints the processor time of a frame, and what each part adds to it.

    The films are rendered side by side, a frame of each in turn, so that whatever else runs disturbs all of them alike.
    """
    film = str(options.films[0])
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "head alone": ("", {"pose": film}),
        "eyes": ("head alone", {"pose": film, "eyes": film}),
        "brows and smile": ("head alone", {"pose": film, "brows": film}),
        "mouth by sight": ("head alone", {"pose": film, "mouth": film}),
        "whole performance": ("head alone", {"performance": film, "mouth": film}),
        "still, without blinks": ("", {"no_blinks": True}),
        "still, with blinks": ("still, without blinks", {}),
        "natural motion": ("still, without blinks", {"pose": "natural"}),
    }
    films, reading = {}, {}
    for name, (_, settings) in ways.items():
        began = time.process_time()
        made = talker.animate(options.photo, SPEECH, end=options.seconds, size=options.size, workers=1, **settings)
        reading[name] = (time.process_time() - began) * 1000 / made.num_frames
        films[name] = iter(made.frames)
    rows: list[dict[str, float]] = []
    names = list(films)
    while True:
        row: dict[str, float] = {}
        for name in names:
            began = time.thread_time()
            if next(films[name], None) is None:
                break
            row[name] = (time.thread_time() - began) * 1000
        if len(row) < len(names):
            break
        rows.append(row)
        names = names[1:] + names[:1]
    times = {name: np.array([row[name] for row in rows[1:]]) for name in films}
    logger.info("%d px, %d frames, ms: mean (median) of a frame; added; reading, a frame", options.size, len(rows) - 1)
    for name, (base, _) in ways.items():
        added = "" if not base else f"{float((times[name] - times[base]).mean()):+.2f}"
        mean, median = float(times[name].mean()), float(np.median(times[name]))
        logger.info("  %-22s %6.2f (%6.2f)  %6s  %6.2f", name, mean, median, added, reading[name])


def likeness(talker: Talker, options: argparse.Namespace) -> None:
    """Prints identity and sharpness of films with a performance and with its head alone."""
    side_px = talker.runtime.spec.sizes.frame_px

    def vector(picture: np.ndarray) -> np.ndarray:
        small = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
        found = talker.runtime.encode_identity(small).vector.astype(np.float64)
        return found / np.linalg.norm(found)

    def sharpness(picture: np.ndarray) -> float:
        edge = len(picture) // 6
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[edge:-edge, edge:-edge]
        return float(cv2.Laplacian(grey, cv2.CV_32F).std())

    rows: list[tuple[float, float, float, float]] = []
    tiles: list[np.ndarray] = []
    for photo, film in itertools.product(options.photos, options.films):
        figures: list[list[tuple[float, float]]] = []
        shown: list[np.ndarray] = []
        ways: tuple[dict[str, Any], ...] = ({"performance": film}, {"pose": film, "no_blinks": True})
        for settings in ways:
            made = talker.animate(photo, SPEECH, end=options.seconds, size=options.size, **settings)
            own = vector(made.identity.picture)
            frames = list(made.rendered(np.linspace(0, made.num_frames - 1, 6).astype(int)[1:5].tolist()))
            shown += frames
            figures.append([(float(vector(frame) @ own), sharpness(frame)) for frame in frames])
        rows += [(*one, *other) for one, other in zip(*figures, strict=True)]
        found = np.array(rows)
        logger.info(
            "%s, %s: %d frames so far, identity %.4f, head alone %.4f, least difference %.4f; sharpness %.3f of it",
            *(photo.name, film.name, len(found), found[:, 0].mean(), found[:, 2].mean()),
            *((found[:, 0] - found[:, 2]).min(), (found[:, 1] / found[:, 3]).mean()),
        )
        tiles.append(np.hstack(shown))
    if options.sheet:
        cv2.imwrite(str(options.sheet), np.vstack(tiles)[:, :, ::-1])


if __name__ == "__main__":
    main()
