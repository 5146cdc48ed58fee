"""`pcavs weights convert`: published checkpoints to one bundle; needs torch, which reads them.

Checkpoints are pickles. They are read by torch's restricted reader only, which builds tensors and runs no code of the
file. What is accepted and what is refused: docs/decisions/0004.
"""

import functools
import logging
import pickle
import re
import struct
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pcavs.errors import OutputError, WeightsError
from pcavs.media.files import refuse_replacing
from pcavs.models.build import model_shapes
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.locate import BUNDLE_ENDING
from pcavs.weights.networks import file_digest
from pcavs.weights.options import ConvertOptions
from pcavs.weights.published import FILES, NETWORKS, from_published, published_tensors

logger = logging.getLogger(__name__)

LICENCE: Final = (
    "The code that these weights were published with is CC-BY-4.0; the weights were trained on VoxCeleb2 or LRW, "
    "whose terms are yours to check"
)
"""Licence field of a converted bundle."""

PAPER: Final = TalkerSpec(kind="paper")
"""Spec of the release."""

_IGNORED_FILE: Final = "latest_net_A.pth"

_MESSAGE_CHARACTERS: Final = 120
"""Longest quotation of a message of torch."""

_DAMAGE: Final = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
)
"""What `torch.load` raises for truncated or damaged files; its documentation names no type."""


def run(options: ConvertOptions, spec: TalkerSpec = PAPER) -> Path:
    """Converts a release of four checkpoints to one bundle, written whole or not at all; returns its path.

    Raises:
        WeightsError: A file is missing or damaged, holds code, or holds other tensors than were published.
        OutputError: The bundle exists, or cannot be written.
    """
    _check_target(options)
    tensors = read_release(options.checkpoints, spec)
    digests = {name: file_digest(options.checkpoints / name) for name in FILES.values()}
    bundle = Bundle(
        spec=spec,
        tensors=tensors,
        provenance={"recipe": "published PC-AVS checkpoints, converted"}
        | {f"sha256 of {name}": digest for name, digest in digests.items()},
        licence=LICENCE,
    )
    save_bundle(bundle, options.out)
    return options.out


def read_release(folder: Path, spec: TalkerSpec = PAPER) -> dict[str, np.ndarray]:
    """Reads the four published files as tensors of a `paper` model, by our names.

    Args:
        folder: Holds `latest_net_{G,E,V,A_sync}.pth`.
        spec: Sizes to expect; tests use smaller ones than the published.

    Raises:
        WeightsError: A file is missing or damaged, holds code, or holds other tensors than were published.
    """
    if not folder.is_dir():
        raise WeightsError(f"no folder {folder}; give one with {', '.join(FILES.values())}")
    missing = [name for name in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder} has no {' and no '.join(missing)}; a release of four files is needed")
    if (folder / _IGNORED_FILE).exists():
        logger.info("%s is ignored: it belongs to another model, which derives the face from the voice", _IGNORED_FILE)
    wanted = _shapes(spec)
    needed = list(published_tensors(wanted, spec.paper).values())
    release: dict[str, dict[str, np.ndarray]] = {}
    for label, name in FILES.items():
        first = next(each for each in needed if each.label == label)
        release[label] = _read(folder / name, f"{first.name} of shape {first.shape} of the {NETWORKS[label]}")
    return from_published(release, wanted, spec.paper)


@functools.lru_cache(maxsize=2)
def _shapes(spec: TalkerSpec) -> dict[str, tuple[int, ...]]:
    return model_shapes(spec)


def _read(path: Path, expected: str) -> dict[str, np.ndarray]:
    """Reads a checkpoint without running code; `expected` is an example of its tensors, for error messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's about unusual pickles, which are refused below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        code = re.search(r"GLOBAL (\S+)|class (\S+) |Unsupported operand", str(error))
        if isinstance(error, pickle.UnpicklingError) and code and (code[1] or code[2]):
            raise WeightsError(
                f"{path.name} holds pickled code ({code[1] or code[2]}), which is never run; "
                f"expected tensors only, such as {expected}"
            ) from error
        raise WeightsError(
            f"{path.name} is truncated or not a checkpoint ({_first_sentence(error)}); "
            f"expected tensors, such as {expected}"
        ) from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path.name} holds a {type(found).__name__}; expected a dictionary with {expected}")
    return {str(name): _array(value, f"{path.name}: tensor {name}") for name, value in found.items()}


def _array(value: Any, origin: str) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        raise WeightsError(f"{origin} is a {type(value).__name__}; expected a tensor")
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise WeightsError(f"{origin} is sparse, quantised or without data; expected a dense tensor")
    value = value.detach().float() if value.is_floating_point() else value.detach()
    return value.resolve_conj().resolve_neg().numpy()


def _first_sentence(error: BaseException) -> str:
    return re.split(r"\. |[\n;]", str(error).strip())[0][:_MESSAGE_CHARACTERS] or type(error).__name__


def _check_target(options: ConvertOptions) -> None:
    if options.out.suffix != BUNDLE_ENDING:
        raise OutputError(f"{options.out} does not end with {BUNDLE_ENDING}; name it NAME{BUNDLE_ENDING}")
    refuse_replacing([options.out], [(f"the checkpoint {name}", options.checkpoints / name) for name in FILES.values()])
    if options.out.exists() and not options.overwrite:
        raise OutputError(f"{options.out} exists already; choose another name or add --overwrite")
