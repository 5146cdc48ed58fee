"""Checkpoints: complete only once `done` exists; talker, running average, heads, optimiser and position."""

import json
import math
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcavs.errors import OutputError, WeightsError
from pcavs.models.state import fill, tensors_of
from pcavs.spec import TalkerSpec
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
        self,
        position: Position,
        spec: TalkerSpec,
        live: nn.ModuleDict,
        mean: dict[str, Tensor],
        optimizers: Mapping[str, torch.optim.Optimizer],
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
            parts = {name: tensors_of(module) for name, module in live.items()}
            parts["average"] = {key: value.cpu().numpy() for key, value in mean.items()}
            for name, tensors in parts.items():
                bundle = Bundle(spec=spec, tensors=tensors, provenance=facts, licence=LICENCE)
                save_bundle(bundle, place / f"{name}.safetensors")
            states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
            torch.save(states, place / "optimizers.pt")
            (place / "position.json").write_text(json.dumps(position._asdict()))
            (place / "done").touch()
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot save {place}: {error}; free some space and start again, it resumes") from error
        for old in self.checkpoints()[:-KEEP]:
            (old / "done").unlink()
        for broken in set(self.folder.glob("checkpoint-*")) - set(self.checkpoints()):
            shutil.rmtree(broken, ignore_errors=True)
        return place


def keep_weights(folder: Path, spec: TalkerSpec, mean: Mapping[str, Tensor], facts: dict[str, str]) -> bool:
    """Writes `latest.safetensors`, and `best.safetensors` where no `score` before was as high; tells whether it was.

    Raises:
        OutputError: The folder cannot be written.
    """
    tensors = {name: value.cpu().numpy() for name, value in mean.items()}
    bundle = Bundle(spec=spec, tensors=tensors, provenance=facts, licence=LICENCE)
    save_bundle(bundle, folder / "latest.safetensors")
    try:
        before = float(load_bundle(folder / "best.safetensors").provenance["score"])
    except WeightsError:
        before = -math.inf
    if float(facts["score"]) <= before:
        return False
    save_bundle(bundle, folder / "best.safetensors")
    return True


def load_checkpoint(
    place: Path, live: nn.ModuleDict, optimizers: Mapping[str, torch.optim.Optimizer]
) -> tuple[Position, dict[str, Tensor]]:
    """Restores everything; gives the position and the running average.

    Raises:
        WeightsError: A file is missing, damaged or does not fit.
    """
    for name, module in live.items():
        file = place / f"{name}.safetensors"
        fill(module, load_bundle(file).tensors, str(file))
    average = load_bundle(place / "average.safetensors").tensors
    try:
        states = torch.load(place / "optimizers.pt", weights_only=True, map_location="cpu")
        position = Position(**json.loads((place / "position.json").read_text()))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{place} is damaged ({type(error).__name__}); delete it, the checkpoint before it is used then"
        ) from error
    try:
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(states[name])
    except (ValueError, LookupError) as error:
        raise WeightsError(
            f"{place} was saved by another stage ({error}); give this stage a --run of its own"
        ) from error
    return position, {name: torch.from_numpy(value) for name, value in average.items()}


def load_start(start: Path, live: nn.ModuleDict) -> None:
    """Takes a talker from a run, a checkpoint or a bundle; heads come along from the first two.

    Raises:
        WeightsError: There are no weights there, or they do not fit.
    """
    if start.is_file():
        fill(live["talker"], load_bundle(start).tensors, str(start))
        return
    place = _place(start)
    for name, module in live.items():
        file = place / ("average.safetensors" if name == "talker" else f"{name}.safetensors")
        fill(module, load_bundle(file).tensors, str(file))


def load_judges(start: Path, live: nn.ModuleDict) -> None:
    """Takes discriminators along where a run or a checkpoint has them; a single file has none.

    Raises:
        WeightsError: They do not fit.
    """
    for name, module in live.items():
        if name.endswith("_judge") and start.is_dir():
            file = _place(start) / f"{name}.safetensors"
            if file.exists():
                fill(module, load_bundle(file).tensors, str(file))


def _place(start: Path) -> Path:
    places = [start] if (start / "done").exists() else RunFolder(start).checkpoints()
    if not places:
        raise WeightsError(f"no weights and no whole checkpoint in {start}; give a run, a checkpoint or a bundle")
    return places[-1]
