"""Measures how well lips follow speech for groups of clips (languages, people), with heads that do not move.

    python benchmarks/measure_speech.py CLIPS [--weights W] [--most-s 4] [--out speech.json]

CLIPS holds videos with sound; those of one subfolder are a group (`CLIPS/de/...mp4`). For each clip a film is made from
its first frame and its own speech, in the pose of the first frame throughout, so that only the speech moves the mouth.
The sync judge scores the film with its speech, with the same speech five frames later and earlier, and with the speech
of another clip. The face tracker gives the correlation of the film's mouth opening with the clip's. Ratios are to the
scores of the clip itself; 95 % intervals resample clips.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

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

_SHIFT: Final = 5
"""Frames by which speech is shifted for `shifted`."""
_DRAWS: Final = 2000
"""Bootstrap samples."""
_INTERVAL_PERCENT: Final = (2.5, 97.5)

Row = dict[str, float]


class Clip(NamedTuple):
    """A clip with the tracker's observations and its mel windows."""

    group: str
    input: EvaluationClip
    observation: Observation
    windows: MelWindows


def main() -> None:
    """Measures all clips and prints the table of groups."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--most-s", type=float, default=4.0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    judges, talker = load_judges(Path("none")), load_talker(args.weights, "auto", threads=1)
    clips = [clip for path in sorted(args.clips.rglob("*.mp4")) if (clip := read(path, args, judges))]
    rows: dict[str, list[Row]] = {}
    for index, clip in enumerate(clips):
        try:
            row = measured(talker, clip, clips[(index + len(clips) // 2) % len(clips)], judges)
        except FaceError as error:
            # No face is found in the film: the first frame hardly shows one.
            print(f"skipped: {error}", flush=True)
            continue
        rows.setdefault(clip.group, []).append(row)
        print(
            clip.group, clip.input.key, json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True
        )
    if args.out:
        args.out.write_text(json.dumps({"judge": judges.sync.name, "weights": talker.name, "groups": rows}, indent=1))
    print(table(rows | {"all": [row for group in rows.values() for row in group]}))


def read(path: Path, args: argparse.Namespace, judges: Judges) -> Clip | None:
    """Reads a clip; reports one that cannot be measured and returns None."""
    try:
        case = read_clip(ClipSource(path.stem, path.stem, path), args.most_s, judges.landmarker)
        observation = observe(list(case.faces), judges, path.name)
    except PcavsError as error:
        print(f"skipped: {error}", flush=True)
        return None
    windows = mel_windows(padded_mel(case.waveform, len(case.faces), MelSpec()))
    return Clip(path.relative_to(args.clips).parts[0], case, observation, windows)


def measured(talker: Talker, clip: Clip, other: Clip, judges: Judges) -> Row:
    """Makes the film of a clip and returns its scores; those of the clip itself start with `truth_`."""
    still = clip.input._replace(faces=clip.input.faces[:1], raw_meshes=clip.observation.raw_meshes[:1])
    inputs = FilmInputs(
        IdentityReference(clip.input.faces[0], clip.observation.raw_meshes[0]), clip.input.waveform, still
    )
    with tempfile.TemporaryDirectory() as folder:
        film = observe(list(make_film(talker, inputs, Path(folder) / "film.mp4")), judges, clip.input.key)
    truth = scores(clip.observation, clip.windows, other.windows, judges)
    return (
        {"opening": lagged_correlation(film.opening, clip.observation.opening).correlation}
        | scores(film, clip.windows, other.windows, judges)
        | {f"truth_{name}": value for name, value in truth.items()}
    )


def scores(film: Observation, windows: MelWindows, others: MelWindows, judges: Judges) -> Row:
    """Returns the sync judge's scores of a film with its speech, with that speech shifted, and with other speech."""
    mouth, speech = judges.sync.embed_mouth(film.crops, film.lips), judges.sync.embed_sound(windows)
    count = min(len(windows), len(others))
    other = score_sync(
        judges.sync.embed_mouth(film.crops[:count], film.lips[:count]), judges.sync.embed_sound(others[:count])
    )
    own = score_sync(mouth, speech)
    late, early = (
        float((mouth[max(0, d) : len(mouth) + min(0, d)] * speech[max(0, -d) : len(speech) + min(0, -d)]).sum(1).mean())
        for d in (_SHIFT, -_SHIFT)
    )
    return {
        "confidence": own.confidence,
        "cosine": own.cosine,
        "shifted": max(late, early),
        "other": other.cosine,
    }


def table(groups: dict[str, list[Row]]) -> str:
    """Formats groups as a Markdown table."""
    lines = [
        "| group | clips | correlation of openings | confidence; the clips' | ratio | cosine ratio "
        "| cosine larger than shifted | than other speech |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in groups.items():
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        confidence = _ratio(columns["confidence"], columns["truth_confidence"])
        cosine = _ratio(columns["cosine"], columns["truth_cosine"])
        lines.append(
            f"| {name} | {len(rows)} | {columns['opening'].mean():.2f} | {columns['confidence'].mean():.3f}; "
            f"{columns['truth_confidence'].mean():.3f} | {confidence} | {cosine} | "
            f"{int((columns['cosine'] > columns['shifted']).sum())} | "
            f"{int((columns['cosine'] > columns['other']).sum())} |"
        )
    return "\n".join(lines)


def _ratio(films: Float[np.ndarray, " clips"], clips: Float[np.ndarray, " clips"]) -> str:
    """Formats the ratio of the means with its 95 % bootstrap interval over clips."""
    draws = np.random.default_rng(0).integers(len(films), size=(_DRAWS, len(films)))
    low, high = np.percentile(films[draws].mean(1) / clips[draws].mean(1), _INTERVAL_PERCENT)
    return f"{films.mean() / clips.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
