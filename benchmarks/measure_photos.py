"""Animates labelled photographs of people, and reports mouth movement and identity by label.

    python benchmarks/measure_photos.py TABLE.csv --photos FOLDER --audio SPEECH... --out OUT [--judges J] [--weights W]

The table has the columns `path`, relative to FOLDER, and `person`, and any number of columns with labels
(docs/validation-faces.csv). Each photograph speaks each SPEECH for `--seconds`; its head moves as `--pose` says, by
default the preset `presenter`. OUT gets rows.json and contact sheets sheet-1.png ... of three photographs each: eight
frames, the mouth enlarged below. Prints a table by label: how far the mouth opens (median and 95th percentile, as a
fraction of the eye distance), the sync judge's scores, and the similarity of face embeddings with the photograph
itself and with those of other people.
"""

import argparse
import csv
import json
import logging
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.evaluate.observe import Judges, Observation, identity_embeddings, load_judges, observe
from pcavs.face.regions import LIPS
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.identity import Embedding, mean_cosine
from pcavs.spec import MelSpec
from pcavs.types import Picture

_NUM_TILES: Final = 8
"""Frames of a film in a contact sheet."""
_FILMS_PER_SHEET: Final = 3
_TILE_PX: Final = 240
_MOUTH_MARGIN: Final = 0.75
"""Half side of the enlarged mouth before it is cut, as a fraction of the lips' width."""
_MOUTH_CUT: Final = 5
"""A fifth of the enlarged mouth is cut off at the top, and a fifth at the bottom."""
_LABEL: Final = ((4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 0, 0), 1)
"""Place, font, size, colour and line width of a photograph's label in the sheet."""
_LIST_COLUMNS: Final = ("path", "person", "other")
"""Columns of the table that are no labels."""

Row = dict[str, float]
Embeddings = dict[str, Embedding]
"""Face embeddings of a photograph, by the name of the embedding network."""


def main() -> None:
    """Measures every photograph with every speech, writes the sheets and prints the table."""
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
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    judges, talker = load_judges(args.judges), load_talker(args.weights, "auto", threads=1)
    with args.table.open(newline="") as file:
        people = list(csv.DictReader(file))
    photos = {each["path"]: (each["person"], embedded(args.photos / each["path"], judges)) for each in people}
    rows: list[tuple[dict[str, str], Row]] = []
    strips: list[Picture] = []
    for person in people:
        films = [film_of(talker, args.photos / person["path"], audio, args) for audio in args.audio]
        observation = [observe(film, judges, person["path"]) for film in films]
        rows += [
            (person, measured(each, audio, args, judges) | identity_cosines(each, person, photos, judges))
            for each, audio in zip(observation, args.audio, strict=True)
        ]
        strips.append(strip(observation[0], person))
        print(person["path"], json.dumps({name: round(value, 3) for name, value in rows[-1][1].items()}), flush=True)
    for number, first in enumerate(range(0, len(strips), _FILMS_PER_SHEET), start=1):
        sheet = np.concatenate(strips[first : first + _FILMS_PER_SHEET])
        cv2.imwrite(str(args.out / f"sheet-{number}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    (args.out / "rows.json").write_text(json.dumps([{**person, **row} for person, row in rows], indent=1))
    print(table(rows))


def film_of(talker: Talker, photo: Path, audio: Path, args: argparse.Namespace) -> list[Picture]:
    """Returns the frames of a film, as `pcavs animate` makes them."""
    film = talker.animate(photo, audio, args.pose, end=args.seconds, size=args.size)
    return list(film.frames)


def measured(observation: Observation, audio: Path, args: argparse.Namespace, judges: Judges) -> Row:
    """Returns how far the mouth opens and the sync judge's scores."""
    windows = mel_windows(padded_mel(read_waveform(audio, 0.0, args.seconds), len(observation.faces), MelSpec()))
    score = judges.sync.score(observation.crops, observation.lips, windows)
    return {
        "opening": float(np.median(observation.opening)),
        "opening_p95": float(np.percentile(observation.opening, 95)),
        "sync_confidence": score.confidence,
        "sync_cosine": score.cosine,
    }


def embedded(photo: Path, judges: Judges) -> Embeddings:
    """Returns the face embeddings of a photograph."""
    observation = observe([read_picture(photo)], judges, photo.name)
    return {embedder.name: identity_embeddings(observation, embedder, [0])[0] for embedder in judges.embedders}


def identity_cosines(
    observation: Observation, person: dict[str, str], photos: dict[str, tuple[str, Embeddings]], judges: Judges
) -> Row:
    """Returns the mean cosine similarity of a film with its photograph, and with photographs of other people."""
    row: Row = {}
    for embedder in judges.embedders:
        frames = identity_embeddings(observation, embedder)
        other_people = [embeddings for name, embeddings in photos.values() if name != person["person"]]
        others = [mean_cosine(frames, embeddings[embedder.name]) for embeddings in other_people]
        row |= {
            f"{embedder.name}": mean_cosine(frames, photos[person["path"]][1][embedder.name]),
            f"{embedder.name}, others": float(np.mean(others)),
        }
    return row


def strip(observation: Observation, person: dict[str, str]) -> Picture:
    """Draws eight frames of a film, and the mouth of each below."""
    indices = np.linspace(0, len(observation.faces) - 1, _NUM_TILES + 2).round().astype(int)[1:-1]
    faces = [cv2.resize(observation.faces[t], (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA) for t in indices]
    lips = observation.meshes[:, list(LIPS), :2]
    centre, half = lips.mean(axis=(0, 1)), _MOUTH_MARGIN * float(np.ptp(lips[..., 0], axis=1).mean())
    scale = _TILE_PX / 2 / half
    to_tile = np.array([[scale, 0, _TILE_PX / 2 - scale * centre[0]], [0, scale, _TILE_PX / 2 - scale * centre[1]]])
    mouths = []
    for t in indices:
        mouth = cv2.warpAffine(observation.faces[t], to_tile, (_TILE_PX, _TILE_PX), flags=cv2.INTER_CUBIC)
        mouths.append(mouth[_TILE_PX // _MOUTH_CUT : -_TILE_PX // _MOUTH_CUT])
    tiles = np.concatenate([np.concatenate(faces, axis=1), np.concatenate(mouths, axis=1)])
    label = f"{person['path']}: {', '.join(value for name, value in person.items() if name != 'path' and value)}"
    return cv2.putText(np.ascontiguousarray(tiles), label, *_LABEL)


def table(rows: list[tuple[dict[str, str], Row]]) -> str:
    """Formats means over all films and by label as Markdown."""
    names = list(rows[0][1])
    groups: dict[str, list[Row]] = {"all": [row for _, row in rows]}
    for person, row in rows:
        for label, value in person.items():
            if label not in _LIST_COLUMNS and value:
                groups.setdefault(f"{label}: {value}", []).append(row)
    lines = [f"| faces | films | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for group, found in groups.items():
        means = [f"{np.mean([row[name] for row in found]):.3f}" for name in names]
        lines.append(f"| {group} | {len(found)} | {' | '.join(means)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
