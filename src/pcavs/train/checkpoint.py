"""Checkpoints: complete only once `done` exists; talker, running average, heads, optimiser and position."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pcavs.errors import OutputError, WeightsError
from pcavs.models.state import fill, tensors_of
from pcavs.models.talker import Talker
from pcavs.spec import TalkerSpec
from pcavs.train.stage import TrainingHeads
from pcavs.weights.bundle import Bundle, load_bundle, save_bundle

LICENCE = "Apache-2.0"
KEEP = 2
"""Whole checkpoints kept; older ones are deleted once a newer one is done."""


class Position(NamedTuple):
    """Where a run stands."""

    step: int
    seconds: float
    """Of training, over all sessions."""


class RunFolder:
    """Checkpoints of one run, newest last."""

    def __init__(self, folder: Path) -> None:
        """Looks only; nothing is made before `save`."""
        self.folder = folder

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        return sorted(done.parent for done in self.folder.glob("checkpoint-*/done"))

    def save(
        self, position: Position, spec: TalkerSpec, live: nn.ModuleDict, mean: dict[str, Tensor], optimizer: Any
    ) -> Path:
        """Writes a checkpoint; `done` comes last, older ones and unfinished ones go after.

        Raises:
            OutputError: The folder cannot be written; the checkpoints before stay as they are.
        """
        place = self.folder / f"checkpoint-{position.step:08d}"
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            facts = {"steps": str(position.step)}
            for name, tensors in {
                "talker": tensors_of(live["talker"]),
                "average": {key: value.cpu().numpy() for key, value in mean.items()},
                "heads": tensors_of(live["heads"]),
            }.items():
                bundle = Bundle(spec=spec, tensors=tensors, provenance=facts, licence=LICENCE)
                save_bundle(bundle, place / f"{name}.safetensors")
            torch.save(optimizer.state_dict(), place / "optimizer.pt")
            (place / "position.json").write_text(json.dumps(position._asdict()))
            (place / "done").touch()
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot save {place}: {error}; free some space and start again, it resumes") from error
        for old in self.checkpoints()[:-KEEP]:
            (old / "done").unlink()
        for broken in set(self.folder.glob("checkpoint-*")) - set(self.checkpoints()):
            shutil.rmtree(broken, ignore_errors=True)
        return place


def load_checkpoint(
    place: Path, talker: Talker, heads: TrainingHeads, optimizer: Any
) -> tuple[Position, dict[str, Any]]:
    """Restores everything; gives the position and the running average.

    Raises:
        WeightsError: A file is missing, damaged or does not fit.
    """
    fill(talker, load_bundle(place / "talker.safetensors").tensors, str(place / "talker.safetensors"))
    fill(heads, load_bundle(place / "heads.safetensors").tensors, str(place / "heads.safetensors"))
    average = load_bundle(place / "average.safetensors").tensors
    try:
        state = torch.load(place / "optimizer.pt", weights_only=True, map_location="cpu")
        position = Position(**json.loads((place / "position.json").read_text()))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{place} is damaged ({type(error).__name__}); delete it, the checkpoint before it is used then"
        ) from error
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise WeightsError(
            f"{place} was saved by another stage ({error}); give this stage a --run of its own"
        ) from error
    return position, {name: torch.from_numpy(value) for name, value in average.items()}


def load_start(start: Path, talker: Talker, heads: TrainingHeads) -> None:
    """Takes a talker from a run, a checkpoint or a bundle; heads come along where they are.

    Raises:
        WeightsError: There are no weights there, or they do not fit.
    """
    if start.is_file():
        fill(talker, load_bundle(start).tensors, str(start))
        return
    places = [start] if (start / "done").exists() else RunFolder(start).checkpoints()
    if not places:
        raise WeightsError(f"no weights and no whole checkpoint in {start}; give a run, a checkpoint or a bundle")
    place = places[-1]
    fill(talker, load_bundle(place / "average.safetensors").tensors, str(place / "average.safetensors"))
    fill(heads, load_bundle(place / "heads.safetensors").tensors, str(place / "heads.safetensors"))
