"""Bundles: one safetensors file that holds tensors, the spec that they belong to, provenance and licence.

Everything that reads or writes weights of our own goes through this file. Format: docs/formats.md.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open

from pcavs.errors import WeightsError
from pcavs.media.files import write_tensors
from pcavs.spec import TalkerSpec

FORMAT: Final = "pcavs-bundle-1"
"""Name and version of the format, in the metadata of every bundle."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """Weights of a talker, with all that is needed to use them."""

    spec: TalkerSpec
    tensors: dict[str, np.ndarray]
    """By the names of the model's parameters and buffers (`models.state.tensors_of`)."""
    provenance: dict[str, str]
    """Recipe, digest of the data, steps, date: whatever the maker of the weights recorded."""
    licence: str


def save_bundle(bundle: Bundle, path: Path, *, half: bool = False) -> None:
    """Writes a bundle whole or not at all; missing folders are created.

    Args:
        bundle: What to write.
        path: An existing file is replaced.
        half: Stores float32 tensors as float16.

    Raises:
        OutputError: The file cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "spec": bundle.spec.to_json(),
        "provenance": json.dumps(bundle.provenance, sort_keys=True),
        "licence": bundle.licence,
    }
    tensors = {name: _halved(value) if half else value for name, value in bundle.tensors.items()}
    write_tensors(path, tensors, metadata)


def _halved(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16) if value.dtype == np.float32 else value


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle; float16 tensors are converted to float32.

    Raises:
        WeightsError: The file is missing, truncated, no bundle, or of a format or spec unknown to this version.
    """
    with _open(path) as file:
        metadata = _checked_metadata(file.metadata(), path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a safetensors file, not a dict
    tensors = {
        name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in tensors.items()
    }
    provenance = _provenance(metadata, path)
    return Bundle(
        spec=TalkerSpec.from_json(metadata["spec"]),
        tensors=tensors,
        provenance=provenance,
        licence=metadata["licence"],
    )


def load_provenance(path: Path) -> dict[str, str]:
    """Reads a bundle's provenance without its tensors.

    Raises:
        WeightsError: The file is missing, truncated, no bundle, or of a format unknown to this version.
    """
    with _open(path) as file:
        return _provenance(_checked_metadata(file.metadata(), path), path)


def read_spec(path: Path) -> TalkerSpec:
    """Reads a bundle's spec without its tensors.

    Raises:
        WeightsError: The file is missing, truncated, no bundle, or of a format or spec unknown to this version.
    """
    with _open(path) as file:
        return TalkerSpec.from_json(_checked_metadata(file.metadata(), path)["spec"])


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; `pcavs weights list` shows those in the package")
    try:
        return safe_open(path, "np")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}); download or make it again") from error


def _provenance(metadata: Mapping[str, str], path: Path) -> dict[str, str]:
    try:
        provenance = json.loads(metadata["provenance"])
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: its provenance is not JSON; download or make it again") from error
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise WeightsError(f"{path} is damaged: its provenance is no object of texts; download or make it again")
    return provenance


def _checked_metadata(metadata: Mapping[str, str] | None, path: Path) -> Mapping[str, str]:
    found = (metadata or {}).get("format", "none")
    if metadata is None or found != FORMAT:
        raise WeightsError(f"{path} has format {found}, but a bundle has {FORMAT}; give a file that pcavs wrote")
    missing = sorted({"spec", "provenance", "licence"} - set(metadata))
    if missing:
        raise WeightsError(f"{path} has no {', '.join(missing)} in its metadata; give a file that pcavs wrote")
    return metadata
