"""Bundles: one safetensors file that holds tensors, the spec they belong to and where they come from."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pcavs.errors import OutputError, WeightsError
from pcavs.spec import TalkerSpec

FORMAT = "pcavs-bundle-1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """Weights that explain themselves."""

    spec: TalkerSpec
    tensors: dict[str, np.ndarray]
    """By the talker's own parameter names."""
    provenance: dict[str, str]
    """Recipe, data digest, steps, date: whatever the maker of the weights knew."""
    licence: str


def save_bundle(bundle: Bundle, path: Path, *, half: bool = False) -> None:
    """Writes a bundle whole or not at all.

    Args:
        bundle: What to write.
        path: Where; an existing file is replaced.
        half: Stores floating-point tensors as float16.

    Raises:
        OutputError: The file cannot be written.
    """
    tensors = {name: _stored(value, half) for name, value in bundle.tensors.items()}
    metadata = {
        "format": FORMAT,
        "spec": bundle.spec.to_json(),
        "provenance": json.dumps(bundle.provenance, sort_keys=True),
        "licence": bundle.licence,
    }
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata=metadata)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):  # where the folder is none, there is nothing to remove either
            part.unlink()
        raise OutputError(f"cannot write {path}: {error}; choose a folder with space and write permission") from error


def _stored(value: np.ndarray, half: bool) -> np.ndarray:
    value = np.asarray(value, order="C")
    return value.astype(np.float16) if half and value.dtype == np.float32 else value


def load_bundle(path: Path) -> Bundle:
    """Reads a bundle; float16 tensors come back as float32.

    Raises:
        WeightsError: No such file, not a bundle, cut short, or of a format this version does not know.
    """
    with _open(path) as file:
        metadata = _checked(file.metadata(), path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a safetensors file, not a dict
    tensors = {
        name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in tensors.items()
    }
    try:
        provenance = json.loads(metadata["provenance"])
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: its provenance is not JSON; fetch or make it again") from error
    return Bundle(
        spec=TalkerSpec.from_json(metadata["spec"]),
        tensors=tensors,
        provenance=provenance,
        licence=metadata["licence"],
    )


def read_spec(path: Path) -> TalkerSpec:
    """Reads a bundle's spec alone.

    Raises:
        WeightsError: As `load_bundle`.
    """
    with _open(path) as file:
        return TalkerSpec.from_json(_checked(file.metadata(), path)["spec"])


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; `pcavs doctor` lists the ones that are here")
    try:
        return safe_open(path, "np")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}); fetch or make it again") from error


def _checked(metadata: Mapping[str, str] | None, path: Path) -> Mapping[str, str]:
    found = (metadata or {}).get("format", "none")
    if metadata is None or found != FORMAT:
        raise WeightsError(f"{path} has format {found}, {FORMAT} is needed; it was not written by pcavs")
    missing = sorted({"spec", "provenance", "licence"} - set(metadata))
    if missing:
        raise WeightsError(f"{path} says nothing of its {', '.join(missing)}; it was not written by pcavs")
    return metadata
