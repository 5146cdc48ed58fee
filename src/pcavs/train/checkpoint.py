"""Checkpoints of a run: weights, moving average, heads, optimisers and position.

A checkpoint is a folder, complete once its file `done` exists; folders without it are ignored and later deleted.
"""

import json
import logging
import math
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from pcavs.errors import OutputError, WeightsError
from pcavs.media.files import write_json
from pcavs.models.state import fill, tensors_of
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import Bundle, load_bundle, load_provenance, save_bundle
from pcavs.weights.locate import find_weights, is_default

logger = logging.getLogger(__name__)

LICENCE: Final = "Apache-2.0"
"""Licence of the weights that training writes."""

NUM_KEPT: Final = 2
"""Complete checkpoints that are kept; older ones are deleted once a newer one is complete."""

OPTIMISERS: Final = "optimizers.pt"
POSITION: Final = "position.json"
DONE: Final = "done"
AVERAGE: Final = "average.safetensors"
"""The moving average of the talker's weights."""
_HEADS: Final = {"heads": "heads of training (readout of the lips, temperature of the contrast)"}
_SPEECH: Final = "speech."
"""Beginning of the names of the speech encoder's tensors."""


class Position(NamedTuple):
    """How far a run has come."""

    step: int
    seconds: float
    """Seconds of training, over all sessions."""


class RunFolder:
    """The checkpoints of one run."""

    def __init__(self, folder: Path) -> None:
        """Takes the run's folder; it need not exist before `save`."""
        self.folder = folder

    def checkpoints(self) -> list[Path]:
        """Lists complete checkpoints, oldest first."""
        return sorted(done.parent for done in self.folder.glob(f"checkpoint-*/{DONE}"))

    def save(
        self,
        position: Position,
        spec: TalkerSpec,
        modules: nn.ModuleDict,
        average: dict[str, Tensor],
        optimizers: Mapping[str, torch.optim.Optimizer],
        facts: Mapping[str, str],
    ) -> Path:
        """Writes a checkpoint; then deletes incomplete ones, and complete ones beyond the newest `NUM_KEPT`.

        Args:
            position: Where the run is.
            spec: Spec of the talker.
            modules: Modules of the stage, each of which becomes a file.
            average: Moving average of the talker's weights.
            optimizers: By learner.
            facts: Provenance of the run (`lineage.run_facts`).

        Raises:
            OutputError: The folder cannot be written; earlier checkpoints stay.
        """
        place = self.folder / f"checkpoint-{position.step:08d}"
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            own = {**facts, "steps": str(position.step)}
            parts = {name: tensors_of(module) for name, module in modules.items()}
            parts["average"] = {key: value.cpu().numpy() for key, value in average.items()}
            for name, tensors in parts.items():
                bundle = Bundle(spec=spec, tensors=tensors, provenance=own, licence=LICENCE)
                save_bundle(bundle, place / f"{name}.safetensors")
            states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
            torch.save(states, place / OPTIMISERS)
            write_json(place / POSITION, position._asdict())
            (place / DONE).touch()
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot save {place}: {error}; free some space, then resume the run") from error
        for old in self.checkpoints()[:-NUM_KEPT]:
            (old / DONE).unlink()
        for incomplete in set(self.folder.glob("checkpoint-*")) - set(self.checkpoints()):
            shutil.rmtree(incomplete, ignore_errors=True)
        return place


def save_weights(folder: Path, spec: TalkerSpec, average: Mapping[str, Tensor], facts: dict[str, str]) -> bool:
    """Writes `latest.safetensors`, and `best.safetensors` if no earlier score was as high.

    Args:
        folder: The run's folder.
        spec: Spec of the talker.
        average: Moving average of the talker's weights.
        facts: Provenance of the weights; `score` is a number, of which more is better.

    Returns:
        Whether the score is the best one.

    Raises:
        OutputError: The folder cannot be written.
    """
    tensors = {name: value.cpu().numpy() for name, value in average.items()}
    bundle = Bundle(spec=spec, tensors=tensors, provenance=facts, licence=LICENCE)
    save_bundle(bundle, folder / "latest.safetensors")
    try:
        best = float(load_bundle(folder / "best.safetensors").provenance["score"])
    except WeightsError:
        best = -math.inf
    if float(facts["score"]) <= best:
        return False
    save_bundle(bundle, folder / "best.safetensors")
    return True


def load_checkpoint(
    place: Path, modules: nn.ModuleDict, optimizers: Mapping[str, torch.optim.Optimizer]
) -> tuple[Position, dict[str, Tensor]]:
    """Restores modules and optimisers in place; returns the position and the moving average.

    Raises:
        WeightsError: The checkpoint is damaged, or was saved by another stage or version.
    """
    files = {name: place / f"{name}.safetensors" for name in modules}
    missing = sorted(file.name for file in files.values() if not file.exists())
    if missing:
        raise WeightsError(
            f"{place} has no {', '.join(missing)}: it is damaged, or another version{_by_stage(place)} saved it; "
            "delete it to use the checkpoint before it, or give this stage a --run of its own"
        )
    for name, module in modules.items():
        fill(module, load_bundle(files[name]).tensors, str(files[name]))
    average = load_bundle(place / AVERAGE).tensors
    try:
        states = torch.load(place / OPTIMISERS, weights_only=True, map_location="cpu")
        position = Position(**json.loads((place / POSITION).read_text()))
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{place} is damaged ({type(error).__name__}); delete it, and the checkpoint before it is used"
        ) from error
    try:
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(states[name])
    except (ValueError, LookupError) as error:
        raise WeightsError(
            f"{place} was saved by another version{_by_stage(place)} ({error}); give this stage a --run of its own"
        ) from error
    return position, {name: torch.from_numpy(value) for name, value in average.items()}


def load_start(start: Path, modules: nn.ModuleDict, spec: TalkerSpec) -> None:
    """Loads the talker's averaged weights from a run, a checkpoint or a bundle, and the heads from the first two.

    The speech encoder keeps its random weights where the start hears other features than the run. Heads that the start
    does not hold keep theirs, which the log says.

    Args:
        start: Where the weights are; `default` and its name are those in the package.
        modules: `model` and `heads`.
        spec: The run's talker.

    Raises:
        WeightsError: There are no weights, or they do not fit.
    """
    weights = start_file(start)
    _fill_model(modules["model"], load_bundle(weights), spec, weights)
    for name in modules:
        if name == "model":
            continue
        file = weights.with_name(f"{name}.safetensors")
        if start.is_dir() and file.is_file():
            fill(modules[name], load_bundle(file).tensors, str(file))
        else:
            logger.info("%s has no %s: they start untrained", start, _HEADS.get(name, name))


def start_file(start: Path) -> Path:
    """Returns the bundle that a run starts from: of a run or checkpoint, the moving average of its weights.

    Raises:
        WeightsError: There are no weights.
    """
    if is_default(start):
        packaged = find_weights(start)
        if packaged.bundle is None:
            raise WeightsError(
                f"the package holds no bundle of {packaged.name} to train from; give a .safetensors file"
            )
        return packaged.bundle
    return start if start.is_file() else _last_checkpoint(start) / AVERAGE


def _by_stage(place: Path) -> str:
    """Returns the stages that saved a checkpoint, in words; nothing where it does not tell."""
    try:
        stages = load_provenance(place / AVERAGE).get("stages", "")
    except WeightsError:
        return ""
    return f" or stage {stages.rpartition(' ')[2]}" if stages else ""


def _fill_model(model: nn.Module, bundle: Bundle, spec: TalkerSpec, file: Path) -> None:
    if bundle.spec.kind != spec.kind:
        raise WeightsError(
            f"{file} is a {bundle.spec.kind} talker, and the run trains a {spec.kind} talker; "
            f"add --kind {bundle.spec.kind}, or give other weights as --start"
        )
    if bundle.spec.sizes.frame_px != spec.sizes.frame_px:
        raise WeightsError(
            f"{file} is a talker of {bundle.spec.sizes.frame_px} px, and the run trains one of "
            f"{spec.sizes.frame_px} px; give another --size, or other weights as --start"
        )
    tensors = bundle.tensors
    if bundle.spec.kind == spec.kind == "flow" and bundle.spec.flow.features != spec.flow.features:
        own = {name: value for name, value in tensors_of(model).items() if name.startswith(_SPEECH)}
        tensors = {name: value for name, value in tensors.items() if not name.startswith(_SPEECH)} | own
        logger.info("%s hears other speech features: the speech encoder starts untrained", file)
    fill(model, tensors, str(file))


def load_discriminators(start: Path, modules: nn.ModuleDict) -> None:
    """Loads those discriminators that a run or a checkpoint has; others, and those of a single file, stay untrained.

    Raises:
        WeightsError: They do not fit.
    """
    for name, module in modules.items():
        if name.endswith("_discriminator") and start.is_dir():
            file = _last_checkpoint(start) / f"{name}.safetensors"
            if file.exists():
                fill(module, load_bundle(file).tensors, str(file))


def _last_checkpoint(start: Path) -> Path:
    places = [start] if (start / DONE).exists() else RunFolder(start).checkpoints()
    if not places:
        raise WeightsError(f"no weights and no complete checkpoint in {start}; give a run, a checkpoint or a bundle")
    return places[-1]
