"""Does the mouth listen? Held-out clips, self-driven, judged on the made pictures by the face tracker.

    python tools/measure_lips.py --weights WEIGHTS.safetensors --shards SHARDS --out report.json

For each `val` clip of the shards: first frame as identity, head pose from the clip itself (the motion encoder's
pose head), mouth from (a) the right speech, (b) another clip's speech, (c) the same speech shifted by half the
clip, (d) nothing: the frozen first frame. Reported: mean absolute difference in the mouth area, and correlation of
the mouth opening that the tracker reads on the made pictures with the true opening; and the differences between
(a) and the others with a paired bootstrap interval over clips.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from pcavs.data.shard import AlignedClip, read_shard
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import OUTER_LIPS, mouth_opening
from pcavs.face.track import track_face
from pcavs.media.bitstream import decode_pictures
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.mouth import area_error, area_mask, correlation
from pcavs.metrics.statistics import bootstrap
from pcavs.models.generator import Codes, compose
from pcavs.models.talker import Talker, build_talker
from pcavs.spec import MelSpec
from pcavs.train.checkpoint import fill
from pcavs.weights.bundle import load_bundle

logger = logging.getLogger(__name__)

DRIVERS = ("right", "other", "shifted", "frozen")


class Score(NamedTuple):
    """Of one clip under one driver."""

    error: float
    correlation: float


def main() -> None:
    """Reads the command line, measures, writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="picture of four frames of each clip: truth above, made below")
    parser.add_argument("--most", type=int, default=1000, help="clips at most")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    bundle = load_bundle(arguments.weights)
    talker = build_talker(bundle.spec).eval()
    fill(talker, bundle.tensors, str(arguments.weights))
    clips = [clip for clip in _clips(arguments.shards) if clip.waveform is not None][: arguments.most]
    landmarker = FaceLandmarker(threads=1)
    rows, strips = [], []
    for index, clip in enumerate(clips):
        scores, strip = measure(talker, clip, clips[(index + 1) % len(clips)], landmarker, bundle.spec.sizes.frame_px)
        rows.append({"key": clip.key, "speaker": clip.facts["speaker"]} | {k: v._asdict() for k, v in scores.items()})
        strips.append(strip)
        logger.info("%s %s", clip.key, {name: tuple(round(x, 3) for x in score) for name, score in scores.items()})
    report = {"weights": bundle.provenance, "clips": rows, "summary": summarise(rows)}
    arguments.out.write_text(json.dumps(report, indent=1))
    logger.info("%s", json.dumps(report["summary"], indent=1))
    if arguments.sheet:
        cv2.imwrite(str(arguments.sheet), np.vstack(strips[:10])[:, :, ::-1])


def _clips(shards: Path) -> list[AlignedClip]:
    paths = sorted(shards.glob("shard-*.tar"))
    return [clip for path in paths for clip in read_shard(path) if clip.facts["split"] == "val"]


@torch.no_grad()
def measure(
    talker: Talker, clip: AlignedClip, other: AlignedClip, landmarker: FaceLandmarker, frame_px: int
) -> tuple[dict[str, Score], np.ndarray]:
    """Scores one clip under every driver, and gives a strip to look at."""
    truth = list(decode_pictures(clip.film))
    faces = _tensor([cv2.resize(p, (frame_px, frame_px), interpolation=cv2.INTER_AREA) for p in truth])
    identity = talker.encode_identity(faces[:1])
    pose = torch.cat([talker.encode_pose(part) for part in faces.split(25)])
    right, wrong = _content(talker, clip), _content(talker, other)
    count = min(len(truth), len(right), len(wrong))
    contents = {"right": right, "other": wrong, "shifted": right.roll(len(right) // 2, dims=0)}
    masks = [area_mask(mesh, OUTER_LIPS, clip.side_px) for mesh in clip.mesh]
    wanted = mouth_opening(clip.mesh)[:count]
    picture, scores, shown = _tensor(truth[:1]), {}, {}
    for name in DRIVERS:
        if name == "frozen":
            made = [truth[0]] * count
        else:
            made = []
            for t in range(count):
                fields = talker.render(identity, Codes(contents[name][t : t + 1], pose[t : t + 1]))
                made.append(_picture(compose(picture, fields)[0]))
        opened = mouth_opening(track_face(made, landmarker, clip.key).meshes)
        error = float(np.mean([area_error(a, b, m) for a, b, m in zip(made, truth, masks, strict=False)]))
        follows = 0.0 if name == "frozen" else correlation(opened.astype(np.float64), wanted.astype(np.float64))
        scores[name], shown[name] = Score(error, follows), made
    picks = np.linspace(0, count - 1, 6).astype(int)
    rows = [[cv2.resize(frames[t], (160, 160)) for t in picks] for frames in (truth, shown["right"], shown["other"])]
    return scores, np.vstack([np.hstack(row) for row in rows])


def _content(talker: Talker, clip: AlignedClip) -> torch.Tensor:
    if clip.waveform is None:
        raise ValueError(f"{clip.key} has no sound")
    mel = padded_mel(clip.waveform, len(clip.mesh), MelSpec())
    return talker.encode_speech(torch.from_numpy(mel_windows(mel)))


def _tensor(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _picture(tensor: torch.Tensor) -> np.ndarray:
    return ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy().copy()


def summarise(rows: list[dict]) -> dict:
    """Means, and differences to the right speech with paired intervals (positive: the right speech is better)."""
    rng = np.random.default_rng(0)
    summary: dict = {"clips": len(rows), "speakers": len({row["speaker"] for row in rows})}
    for name in DRIVERS:
        for field in Score._fields:
            summary[f"{field} {name}"] = round(float(np.mean([row[name][field] for row in rows])), 4)
    for name in DRIVERS[1:]:
        for field, sign in (("error", -1), ("correlation", 1)):
            gaps = np.array([sign * (row["right"][field] - row[name][field]) for row in rows])
            summary[f"{field} better than {name}"] = [round(x, 4) for x in bootstrap(gaps, rng)]
    return summary


if __name__ == "__main__":
    main()
