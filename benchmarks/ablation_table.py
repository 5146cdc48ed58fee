"""Prints the results of runs/ablations.sh as a Markdown table: mean and standard deviation over seeds, per recipe.

    python benchmarks/ablation_table.py OUT

The averaged weights of every finished run are scored on several random draws of held-out clips. The columns:

- `lips`: landmark error at the lips when the matching speech drives the face, as a fraction of the error of a
  displacement field of zeros. `lips listens`: how much larger that error is with speech from another moment of the
  same clip. `mouth` and `mouth listens`: the same for the pixels of the mouth, as a fraction of the error of an
  unchanged picture.
- `found of 8`, `found of 32`: how often the matching speech is ranked first for a moment, among 8 moments of the same
  clip and among 32 moments of 8 clips.
- `lips in content`, `lips in speech`: fraction of the variance of the lip landmarks that a linear function of the
  visual content, and of the speech content, explains.
- `turn in pose`, `turn in content`: fraction of the variance of yaw, pitch and roll that a linear function of the pose
  code, and of the visual content, explains. The latter is a leak.
- `lips in pose`: fraction of the variance of the lip landmarks that the pose code explains linearly beyond the true
  head pose (a leak: it should be near 0).
- `person in pose`, `person in content`: how many times as often as by chance a linear probe names the person (a leak,
  1 where there is none). The probe is fitted to half of the clips drawn of each person; clips of a photograph share its
  framing.

The regressions of turn and lips are fitted on every other block of frames and scored on the blocks between, so a code
that explains nothing can score slightly below 0.
"""

import argparse
import statistics
from pathlib import Path
from typing import Final

import numpy as np
import torch

from pcavs.data.corpus import Corpus
from pcavs.evaluate.leakage import probe_person
from pcavs.face.pose import angles_deg, pose_from_code
from pcavs.models.build import build_model
from pcavs.models.state import fill
from pcavs.train.probe import NUM_CLIPS, NUM_MOMENTS
from pcavs.train.recipe import load_options
from pcavs.train.reconstruction import make_reconstruction
from pcavs.train.session import open_data
from pcavs.train.stage import Model, step_rng
from pcavs.train.validation import Shown, validate
from pcavs.weights.bundle import load_bundle

DRAWS: Final = 6
"""Random draws of held-out clips that a score is averaged over."""
DRAW_SEED: Final = 20_210_414
"""Seed of the clips that the regressions on the pose code use; any number would do."""
RIDGE: Final = 1e-2
"""Weight of the ridge penalty, per frame; inputs have unit variance. Tuned by hand; not measured."""
COLUMNS = (
    "lips",
    "lips listens",
    "mouth",
    "mouth listens",
    "found of 8",
    "found of 32",
    "turn in pose",
    "lips in pose",
    "lips in content",
    "lips in speech",
    "turn in content",
    "person in pose",
    "person in content",
)


def main() -> None:
    """Scores every finished run of the folder and prints the table."""
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
    """Returns whether the newest weights of a run are of its last step."""
    if not (run / "latest.safetensors").is_file():
        return False
    steps = int(load_bundle(run / "latest.safetensors").provenance["steps"])
    return steps == load_options(run).steps


def scores(run: Path) -> dict[str, float]:
    """Returns the scores of the averaged weights of one run, by column."""
    options = load_options(run)
    bundle = load_bundle(run / "latest.safetensors")
    talker = build_model(bundle.spec)
    fill(talker, bundle.tensors, str(run))
    talker.eval()
    corpus, reconstruction = open_data(options, bundle.spec, "val"), make_reconstruction(talker, options)
    shown = Shown(frozenset(bundle.provenance.get("untrained", "").split()))
    draws = [validate(talker, reconstruction, corpus, draw, shown=shown) for draw in range(DRAWS)]
    mean = {name: statistics.mean(scores[name] for scores in draws) for name in draws[0]}
    columns = leaks(talker, corpus)
    if "speech" in shown.untrained:
        del columns["lips in speech"]
    if "found_within" in mean:
        columns |= {"found of 8": mean["found_within"], "found of 32": mean["found_of_32"]}
    if "mouth_heard" in mean:
        columns |= {"mouth": mean["mouth_heard"], "mouth listens": mean["mouth_shifted"] - mean["mouth_heard"]}
    if "lips_heard" in mean:
        columns |= {"lips": mean["lips_heard"], "lips listens": mean["lips_shifted"] - mean["lips_heard"]}
    return columns


@torch.no_grad()
def leaks(talker: Model, corpus: Corpus) -> dict[str, float]:
    """Returns what can be read from pose code and visual content, by column."""
    batches = [
        corpus.batch(step_rng(DRAW_SEED, draw), NUM_CLIPS, NUM_MOMENTS, heard_only=True) for draw in range(DRAWS)
    ]
    pose = torch.cat([talker.encode_pose(batch.target).float() for batch in batches]).double().numpy()
    content = torch.cat([talker.encode_lips(batch.target).float() for batch in batches]).double().numpy()
    speech = torch.cat([talker.encode_speech(batch.speech).float() for batch in batches]).double().numpy()
    truth = torch.cat([batch.pose for batch in batches]).double().numpy()
    lips = torch.cat([batch.lips for batch in batches]).double().numpy()
    people = [str(int(speaker)) for batch in batches for speaker in batch.speaker]
    side = int(batches[0].target.shape[-1])
    turn = angles_deg(pose_from_code(truth.astype(np.float32), side).rotation).astype(np.float64)
    return {
        "turn in pose": explained(pose, turn),
        "lips in pose": explained(np.hstack([truth, pose]), lips) - explained(truth, lips),
        "lips in content": explained(content, lips),
        "lips in speech": explained(speech, lips),
        "turn in content": explained(content, turn),
        "person in pose": times_chance(pose, people),
        "person in content": times_chance(content, people),
    }


def times_chance(codes: np.ndarray, people: list[str]) -> float:
    """Returns how many times as often as by chance a linear probe names the person of a frame.

    Args:
        codes: (frames, numbers); `NUM_MOMENTS` consecutive rows are a clip.
        people: Person of each clip.
    """
    probe = probe_person(list(codes.astype(np.float32).reshape(len(people), NUM_MOMENTS, -1)), people)
    return probe.score / probe.chance


def explained(inputs: np.ndarray, targets: np.ndarray) -> float:
    """Returns the R2 of a ridge regression that is fitted on even blocks of frames and scored on odd ones.

    Args:
        inputs: (frames, inputs); `NUM_MOMENTS` consecutive rows, frames of one clip, are a block.
        targets: (frames, targets).
    """
    inputs = (inputs - inputs.mean(axis=0)) / (inputs.std(axis=0) + 1e-9)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    held_out = (np.arange(len(inputs)) // NUM_MOMENTS) % 2 == 1
    fitted = inputs[~held_out]
    penalty = RIDGE * len(fitted) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(fitted.T @ fitted + penalty, fitted.T @ targets[~held_out])
    residual = np.square(inputs[held_out] @ weights - targets[held_out]).sum()
    return float(1 - residual / np.square(targets[held_out] - targets[~held_out].mean(axis=0)).sum())


def cells(runs: list[dict[str, float]]) -> list[str]:
    """Formats the row of one recipe; `-` where its talker has no such score."""
    row = []
    for name in COLUMNS:
        values = [scores[name] for scores in runs if name in scores]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        row.append(f"{statistics.mean(values):.3f}{spread}" if values else "-")
    return row


if __name__ == "__main__":
    main()
