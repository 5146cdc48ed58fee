"""Lets photographs of a labelled table speak, measures mouths and likeness by label, and draws contact sheets.

    python benchmarks/measure_photos.py TABLE.csv --photos FOLDER --audio SPEECH... --out OUT [--judges J] [--weights W]

The table has the columns `path`, relative to FOLDER, and `person`, and columns of labels
(docs/validation-faces.csv). Each photograph says each sound for `--seconds`; without `--pose` its head moves as the
preset `presenter`. OUT gets sheet-1.png ... (three photographs each, eight moments; the mouth below, enlarged) and
rows.json; a table by label is printed: how far the mouth opens (share of the eye distance: median and 95th percentile),
how well it fits the speech, and the likeness to the photograph and to those of others.
"""

import argparse
import csv
import json
import logging
from pathlib import Path

import cv2
import numpy as np

from pcavs.animate.talker import Talker, load_talker
from pcavs.evaluate.observe import Judges, Observation, identity_embeddings, load_judges, observe
from pcavs.face.regions import LIPS
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.identity import Embedding, mean_cosine
from pcavs.spec import MelSpec
from pcavs.types import Picture

_MOMENTS, _A_SHEET, _TILE_PX = 8, 3, 240

Row = dict[str, float]
Embedded = dict[str, Embedding]
"""By embedder."""


def main() -> None:
    """Measures every photograph with every sound."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judges", type=Path, default=Path("none"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pose", default="presenter")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=512)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    judges, talker = load_judges(words.judges), load_talker(words.weights, "auto", threads=1)
    with words.table.open(newline="") as file:
        people = list(csv.DictReader(file))
    photos = {each["path"]: (each["person"], embedded(words.photos / each["path"], judges)) for each in people}
    rows: list[tuple[dict[str, str], Row]] = []
    strips: list[Picture] = []
    for person in people:
        films = [film_of(talker, words.photos / person["path"], audio, words) for audio in words.audio]
        seen = [observe(film, judges, person["path"]) for film in films]
        rows += [
            (person, measured(each, audio, words, judges) | likeness(each, person, photos, judges))
            for each, audio in zip(seen, words.audio, strict=True)
        ]
        strips.append(strip(seen[0], person))
        print(person["path"], json.dumps({name: round(value, 3) for name, value in rows[-1][1].items()}), flush=True)
    for number, first in enumerate(range(0, len(strips), _A_SHEET), start=1):
        sheet = np.concatenate(strips[first : first + _A_SHEET])
        cv2.imwrite(str(words.out / f"sheet-{number}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    (words.out / "rows.json").write_text(json.dumps([{**person, **row} for person, row in rows], indent=1))
    print(table(rows))


def film_of(talker: Talker, photo: Path, audio: Path, words: argparse.Namespace) -> list[Picture]:
    """The frames of a film, as `pcavs animate` makes them."""
    film = talker.animate(photo, audio, words.pose, end=words.seconds, size=words.size)
    return list(film.frames)


def measured(seen: Observation, audio: Path, words: argparse.Namespace, judges: Judges) -> Row:
    """Opening, and fit with the speech."""
    windows = mel_windows(padded_mel(read_waveform(audio, 0.0, words.seconds), len(seen.faces), MelSpec()))
    score = judges.sync.score(seen.crops, seen.lips, windows)
    return {
        "opening": float(np.median(seen.opening)),
        "opening_p95": float(np.percentile(seen.opening, 95)),
        "confidence": score.confidence,
        "likeness": score.cosine,
    }


def embedded(photo: Path, judges: Judges) -> Embedded:
    """A photograph as the identity judges see it."""
    seen = observe([read_picture(photo)], judges, photo.name)
    return {embedder.name: identity_embeddings(seen, embedder, [0])[0] for embedder in judges.embedders}


def likeness(seen: Observation, person: dict[str, str], photos: dict[str, tuple[str, Embedded]], judges: Judges) -> Row:
    """Cosine of a film with its photograph, and the mean one with those of other people."""
    row: Row = {}
    for embedder in judges.embedders:
        frames = identity_embeddings(seen, embedder)
        strangers = [each for who, each in photos.values() if who != person["person"]]
        others = [mean_cosine(frames, each[embedder.name]) for each in strangers]
        row |= {
            f"{embedder.name}": mean_cosine(frames, photos[person["path"]][1][embedder.name]),
            f"{embedder.name}, others": float(np.mean(others)),
        }
    return row


def strip(seen: Observation, person: dict[str, str]) -> Picture:
    """Eight moments, and the mouth of each below."""
    moments = np.linspace(0, len(seen.faces) - 1, _MOMENTS + 2).round().astype(int)[1:-1]
    faces = [cv2.resize(seen.faces[t], (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA) for t in moments]
    lips = seen.meshes[:, list(LIPS), :2]
    centre, half = lips.mean(axis=(0, 1)), 0.75 * float(np.ptp(lips[..., 0], axis=1).mean())
    scale = _TILE_PX / 2 / half
    place = np.array([[scale, 0, _TILE_PX / 2 - scale * centre[0]], [0, scale, _TILE_PX / 2 - scale * centre[1]]])
    mouths = []
    for t in moments:
        mouth = cv2.warpAffine(seen.faces[t], place, (_TILE_PX, _TILE_PX), flags=cv2.INTER_CUBIC)
        mouths.append(mouth[_TILE_PX // 5 : -_TILE_PX // 5])
    tiles = np.concatenate([np.concatenate(faces, axis=1), np.concatenate(mouths, axis=1)])
    label = f"{person['path']}: {', '.join(value for name, value in person.items() if name != 'path' and value)}"
    return cv2.putText(np.ascontiguousarray(tiles), label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 0, 0), 1)


def table(rows: list[tuple[dict[str, str], Row]]) -> str:
    """Means by label, and over all, as Markdown."""
    names = list(rows[0][1])
    groups: dict[str, list[Row]] = {"all": [row for _, row in rows]}
    for person, row in rows:
        for label, value in person.items():
            if label not in ("path", "person", "other") and value:
                groups.setdefault(f"{label}: {value}", []).append(row)
    lines = [f"| faces | films | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for group, found in groups.items():
        means = [f"{np.mean([row[name] for row in found]):.3f}" for name in names]
        lines.append(f"| {group} | {len(found)} | {' | '.join(means)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
