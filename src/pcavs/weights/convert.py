"""`pcavs weights convert`: published checkpoints become a bundle; needs torch, which reads them.

Checkpoints are pickles. They are read by torch's restricted reader alone, which builds tensors and runs nothing
(docs/decisions/0004).
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
from pcavs.models.state import shapes_of
from pcavs.models.talker import build_talker
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.networks import file_digest
from pcavs.weights.options import ConvertOptions
from pcavs.weights.published import FILES, NETWORKS, from_published, published_places
from pcavs.weights.shelf import BUNDLE_ENDING

logger = logging.getLogger(__name__)

LICENCE: Final = (
    "The code that these weights were published with is CC-BY-4.0; the weights were trained on VoxCeleb2 or LRW, "
    "whose terms are yours to check"
)

PAPER: Final = TalkerSpec(kind="paper")
"""Spec of the release."""

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
"""What torch raises of files that are cut short or scrambled; it promises no one kind."""


def run(options: ConvertOptions, spec: TalkerSpec = PAPER) -> Path:
    """Converts a release of four checkpoints into one bundle, whole or not at all; gives its path.

    Raises:
        WeightsError: A file is missing or damaged, holds code, or holds other tensors than were published.
        OutputError: The bundle is there already, or cannot be written.
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
    """Reads the four published files as tensors of a `paper` talker, by our names.

    Args:
        folder: Where `latest_net_{G,E,V,A_sync}.pth` are.
        spec: Sizes to expect; the published ones unless a test says otherwise.

    Raises:
        WeightsError: A file is missing or damaged, holds code, or holds other tensors than were published.
    """
    if not folder.is_dir():
        raise WeightsError(f"no folder {folder}; one with {', '.join(FILES.values())} was expected")
    missing = [name for name in FILES.values() if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{folder} has no {' and no '.join(missing)}; a release of four files was expected")
    if (folder / "latest_net_A.pth").exists():
        logger.info("latest_net_A.pth is left aside: it belongs to another model that speaks for unseen people")
    wanted = _wanted(spec)
    needed = list(published_places(wanted, spec.paper).values())
    release: dict[str, dict[str, np.ndarray]] = {}
    for label, name in FILES.items():
        first = next(each for each in needed if each.label == label)
        release[label] = _read(folder / name, f"the {NETWORKS[label]}'s {first.name} of shape {first.shape}")
    return from_published(release, wanted, spec.paper)


@functools.lru_cache(maxsize=2)
def _wanted(spec: TalkerSpec) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(build_talker(spec))


def _read(path: Path, expected: str) -> dict[str, np.ndarray]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of unusual pickles, which end as an error of ours
            found = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        code = re.search(r"GLOBAL (\S+)|class (\S+) |Unsupported operand", str(error))
        if isinstance(error, pickle.UnpicklingError) and code and (code[1] or code[2]):
            raise WeightsError(
                f"{path.name} holds pickled code ({code[1] or code[2]}), which is never run; "
                f"tensors only, such as {expected}, were expected"
            ) from error
        raise WeightsError(
            f"{path.name} is cut short or no checkpoint ({_first_sentence(error)}); "
            f"a whole one, with {expected} and more, was expected"
        ) from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path.name} holds a {type(found).__name__}; a dictionary with {expected} was expected")
    return {str(name): _array(value, f"{path.name}: tensor {name}") for name, value in found.items()}


def _array(value: Any, origin: str) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        raise WeightsError(f"{origin} is a {type(value).__name__}; a tensor was expected")
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise WeightsError(f"{origin} is sparse, quantised or empty; plain numbers were expected")
    value = value.detach().float() if value.is_floating_point() else value.detach()
    return value.resolve_conj().resolve_neg().numpy()


def _first_sentence(error: BaseException) -> str:
    return re.split(r"\. |[\n;]", str(error).strip())[0][:120] or type(error).__name__


def _check_target(options: ConvertOptions) -> None:
    if options.out.suffix != BUNDLE_ENDING:
        raise OutputError(f"{options.out} has no ending that says what it is; name it NAME{BUNDLE_ENDING}")
    if options.out.exists() and not options.overwrite:
        raise OutputError(f"{options.out} exists already; choose another name or add --overwrite")
