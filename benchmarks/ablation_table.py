"""Prints the table of runs/ablations.sh: mean and spread over seeds of every recipe's scores on held-out clips.

    python benchmarks/ablation_table.py OUT

Of each finished run the averaged weights are scored on several draws of held-out clips:

- lips: landmark error at the lips, driven by the right speech, as a share of zero flow's; `listens` is how much larger
  it is with the speech of another moment of the same clip. Mouth: the same in pixels, of the still picture's.
- found: the share of moments of which the right speech is found among 8 of the same clip, and among 32 of 8 clips.
- turn in pose: the share of the head's turning (yaw, pitch, roll) that the pose code explains linearly.
- lips in pose: the share of the lips' motion that the pose code explains linearly beyond what the true pose does.

The last two are fitted on every other stretch of frames and told of the rest, so nothing explained may be below zero.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch

from pcavs.data.corpus import Corpus
from pcavs.face.pose import angles_deg, pose_from_code
from pcavs.models.build import build_model
from pcavs.models.state import fill
from pcavs.train.probe import NUM_CLIPS, NUM_MOMENTS
from pcavs.train.recipe import load_options
from pcavs.train.reconstruction import make_reconstruction
from pcavs.train.session import open_data
from pcavs.train.stage import Model, step_rng
from pcavs.train.validation import validate
from pcavs.weights.bundle import load_bundle

DRAWS = 6
RIDGE = 1e-2
COLUMNS = (
    "lips",
    "lips listens",
    "mouth",
    "mouth listens",
    "found of 8",
    "found of 32",
    "turn in pose",
    "lips in pose",
)


def main() -> None:
    """Reads the folder, prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of runs: RECIPE/SEED")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    print("| recipe | seeds | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for recipe in sorted(place for place in out.iterdir() if place.is_dir()):
        runs = [place for place in sorted(recipe.iterdir()) if finished(place)]
        if runs:
            print(
                f"| {recipe.name} | {len(runs)} | " + " | ".join(cells([scores(run) for run in runs])) + " |",
                flush=True,
            )


def finished(run: Path) -> bool:
    """Tells whether a run has come to its last step."""
    if not (run / "latest.safetensors").is_file():
        return False
    steps = int(load_bundle(run / "latest.safetensors").provenance["steps"])
    return steps == load_options(run).steps


def scores(run: Path) -> dict[str, float]:
    """Scores the averaged weights of a run."""
    options = load_options(run)
    bundle = load_bundle(run / "latest.safetensors")
    talker = build_model(bundle.spec)
    fill(talker, bundle.tensors, str(run))
    talker.eval()
    corpus, reconstruction = open_data(options, bundle.spec, "val"), make_reconstruction(talker, options)
    drawn = [validate(talker, reconstruction, corpus, draw) for draw in range(DRAWS)]
    mean = {name: statistics.mean(each[name] for each in drawn) for name in drawn[0]}
    found = {
        "mouth": mean["mouth_heard"],
        "mouth listens": mean["mouth_shifted"] - mean["mouth_heard"],
        "found of 8": mean["found_within"],
        "found of 32": mean["found_of_32"],
        **in_pose(talker, corpus),
    }
    if "lips_heard" in mean:
        found |= {"lips": mean["lips_heard"], "lips listens": mean["lips_shifted"] - mean["lips_heard"]}
    return found


@torch.no_grad()
def in_pose(talker: Model, corpus: Corpus) -> dict[str, float]:
    """Shares of variance that the pose code explains: the head's, and the lips' that the true pose does not."""
    batches = [
        corpus.batch(step_rng(20_210_414, draw), NUM_CLIPS, NUM_MOMENTS, heard_only=True) for draw in range(DRAWS)
    ]
    codes = torch.cat([talker.encode_pose(batch.target).float() for batch in batches]).double().numpy()
    truth = torch.cat([batch.pose for batch in batches]).double().numpy()
    lips = torch.cat([batch.lips for batch in batches]).double().numpy()
    side = int(batches[0].target.shape[-1])
    turn = angles_deg(pose_from_code(truth.astype(np.float32), side).rotation).astype(np.float64)
    more = explained(np.hstack([truth, codes]), lips) - explained(truth, lips)
    return {"turn in pose": explained(codes, turn), "lips in pose": more}


def explained(inputs: np.ndarray, wanted: np.ndarray) -> float:
    """Share of the variance that ridge regression explains on every other stretch of frames."""
    inputs = (inputs - inputs.mean(axis=0)) / (inputs.std(axis=0) + 1e-9)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    apart = (np.arange(len(inputs)) // NUM_MOMENTS) % 2 == 1
    known = inputs[~apart]
    price = RIDGE * len(known) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(known.T @ known + price, known.T @ wanted[~apart])
    left = np.square(inputs[apart] @ weights - wanted[apart]).sum()
    return float(1 - left / np.square(wanted[apart] - wanted[~apart].mean(axis=0)).sum())


def cells(found: list[dict[str, float]]) -> list[str]:
    """Gives the cells of one recipe, `-` where its talker has no such score."""
    written = []
    for name in COLUMNS:
        values = [each[name] for each in found if name in each]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        written.append(f"{statistics.mean(values):.3f}{spread}" if values else "-")
    return written


if __name__ == "__main__":
    main()
