"""Measures how well lips follow speech, group by group (languages, people), with heads that hold still.

    python benchmarks/measure_speech.py CLIPS [--weights W] [--most-s 4] [--out speech.json]

CLIPS holds films with sound; those of one folder in it are a group (`CLIPS/de/...mp4`). Of each clip a film is made of
its first frame and its own speech, in the first frame's pose throughout, so that nothing but the speech can move the
mouth. The sync judge says how well the film fits its speech, the same speech five frames later and earlier, and the
speech of another clip; the tracker says how well the opening of the mouth follows that of the clip. Shares are of
what the clip itself gets; intervals resample clips.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.animate.talker import Talker, load_talker
from pcavs.errors import FaceError, PcavsError
from pcavs.evaluate.clips import ClipSource, EvaluationClip, read_clip
from pcavs.evaluate.films import FilmInputs, IdentityReference, make_film
from pcavs.evaluate.observe import Judges, Observation, load_judges, observe
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.curves import lagged_correlation
from pcavs.metrics.sync import score_sync
from pcavs.spec import MelSpec
from pcavs.types import MelWindows

_SHIFT = 5
_DRAWS = 2000

Row = dict[str, float]


class Clip(NamedTuple):
    """A clip with what the tracker sees in it and the judge hears."""

    group: str
    case: EvaluationClip
    seen: Observation
    windows: MelWindows


def main() -> None:
    """Measures all clips and prints a table of the groups."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--most-s", type=float, default=4.0)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    judges, talker = load_judges(Path("none")), load_talker(words.weights, "auto", threads=1)
    clips = [clip for path in sorted(words.clips.rglob("*.mp4")) if (clip := read(path, words, judges))]
    rows: dict[str, list[Row]] = {}
    for index, clip in enumerate(clips):
        try:
            row = measured(talker, clip, clips[(index + len(clips) // 2) % len(clips)], judges)
        except FaceError as error:
            # A first frame from which hardly a face looks: the film of it shows none either.
            print(f"passed over: {error}", flush=True)
            continue
        rows.setdefault(clip.group, []).append(row)
        print(clip.group, clip.case.key, json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True)
    if words.out:
        words.out.write_text(json.dumps({"judge": judges.sync.name, "weights": talker.name, "groups": rows}, indent=1))
    print(table(rows | {"all": [row for group in rows.values() for row in group]}))


def read(path: Path, words: argparse.Namespace, judges: Judges) -> Clip | None:
    """Reads a clip; one that cannot be measured is told and passed over."""
    try:
        case = read_clip(ClipSource(path.stem, path.stem, path), words.most_s, judges.landmarker)
        seen = observe(list(case.faces), judges, path.name)
    except PcavsError as error:
        print(f"passed over: {error}", flush=True)
        return None
    windows = mel_windows(padded_mel(case.waveform, len(case.faces), MelSpec()))
    return Clip(path.relative_to(words.clips).parts[0], case, seen, windows)


def measured(talker: Talker, clip: Clip, other: Clip, judges: Judges) -> Row:
    """Makes the film of a clip and judges it."""
    still = clip.case._replace(faces=clip.case.faces[:1], raw_meshes=clip.seen.raw_meshes[:1])
    inputs = FilmInputs(IdentityReference(clip.case.faces[0], clip.seen.raw_meshes[0]), clip.case.waveform, still)
    with tempfile.TemporaryDirectory() as folder:
        film = observe(list(make_film(talker, inputs, Path(folder) / "film.mp4")), judges, clip.case.key)
    return (
        {"opening": lagged_correlation(film.opening, clip.seen.opening).correlation}
        | scores(film, clip.windows, other.windows, judges)
        | {f"truth_{name}": value for name, value in scores(clip.seen, clip.windows, other.windows, judges).items()}
    )


def scores(film: Observation, windows: MelWindows, others: MelWindows, judges: Judges) -> Row:
    """What the judge says of a film with its speech, with the same at other times, and with another's."""
    seen, heard = judges.sync.embed_mouth(film.crops, film.lips), judges.sync.embed_sound(windows)
    count = min(len(windows), len(others))
    strange = judges.sync.embed_mouth(film.crops[:count], film.lips[:count]), judges.sync.embed_sound(others[:count])
    right = score_sync(seen, heard)
    late, early = (
        float((seen[max(0, d) : len(seen) + min(0, d)] * heard[max(0, -d) : len(heard) + min(0, -d)]).sum(1).mean())
        for d in (_SHIFT, -_SHIFT)
    )
    return {
        "confidence": right.confidence,
        "likeness": right.cosine,
        "shifted": max(late, early),
        "other": score_sync(*strange).cosine,
    }


def table(groups: dict[str, list[Row]]) -> str:
    """Lays groups out as a Markdown table."""
    lines = [
        "| group | clips | opening follows, r | confidence; the clips' | share | likeness share "
        "| fits better than shifted | than another's speech |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in groups.items():
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        share = _interval(columns["confidence"], columns["truth_confidence"])
        like = _interval(columns["likeness"], columns["truth_likeness"])
        lines.append(
            f"| {name} | {len(rows)} | {columns['opening'].mean():.2f} | {columns['confidence'].mean():.3f}; "
            f"{columns['truth_confidence'].mean():.3f} | {share} | {like} | "
            f"{int((columns['likeness'] > columns['shifted']).sum())} | "
            f"{int((columns['likeness'] > columns['other']).sum())} |"
        )
    return "\n".join(lines)


def _interval(made: Float[np.ndarray, " clips"], truth: Float[np.ndarray, " clips"]) -> str:
    """Ratio of the means with its 95 % interval, clips resampled."""
    draws = np.random.default_rng(0).integers(len(made), size=(_DRAWS, len(made)))
    low, high = np.percentile(made[draws].mean(1) / truth[draws].mean(1), [2.5, 97.5])
    return f"{made.mean() / truth.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
