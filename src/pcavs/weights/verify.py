"""`pcavs weights verify`: checks that weights are complete and agree with their spec.

Comparing a bundle's tensors with its spec needs torch, which builds the model; all other checks do without.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.errors import WeightsError, install_hint, raise_if_out_of_memory
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import (
    AGAIN,
    MANIFEST,
    NETWORKS,
    file_digest,
    is_network_folder,
    read_manifest,
    read_networks,
)
from pcavs.weights.options import VerifyOptions

_MESSAGE_CHARACTERS: Final = 120
"""Longest quotation of a message of OpenVINO."""


class Report(NamedTuple):
    """Result of the checks."""

    lines: list[str]
    """One per finding; faults begin with `FAULT`, the others with `ok`."""
    ok: bool
    """Whether there is no fault."""


class _Finding(NamedTuple):
    text: str
    ok: bool = True


def run(options: VerifyOptions) -> Report:
    """Runs all checks that apply, also after a fault.

    Raises:
        WeightsError: The file or folder does not exist.
    """
    path = options.weights
    if not path.exists():
        raise WeightsError(f"no weights at {path}; `pcavs weights list` shows those in the package")
    findings = list(_check_folder(path) if path.is_dir() else _check_bundle(path))
    lines = [f"{'ok' if each.ok else 'FAULT'}: {each.text}" for each in findings]
    return Report(lines, all(each.ok for each in findings))


def _check_bundle(path: Path) -> Iterator[_Finding]:
    try:
        bundle = load_bundle(path)
    except WeightsError as error:
        yield _Finding(str(error), ok=False)
        return
    digest = file_digest(path)
    yield _Finding(f"{path.name} is a complete bundle of kind {bundle.spec.kind}, SHA-256 {digest}")
    yield from _check_shapes(bundle.tensors, bundle.spec)
    yield from _check_finite(bundle.tensors.items(), f"{len(bundle.tensors)} tensors")
    networks = path.with_suffix("")
    if is_network_folder(networks):
        fits = read_manifest(networks).digest == digest
        origin = "this bundle" if fits else "another bundle; export them again"
        yield _Finding(f"the networks beside it were exported from {origin}", ok=fits)


def _check_shapes(tensors: dict[str, np.ndarray], spec: TalkerSpec) -> Iterator[_Finding]:
    if importlib.util.find_spec("torch") is None:
        yield _Finding(f"tensors were not compared with the spec, which needs torch: {install_hint('train')}")
        return
    from pcavs.models.build import model_shapes

    wanted = model_shapes(spec)
    faults = [f"tensor {name} of shape {shape} is missing" for name, shape in wanted.items() if name not in tensors]
    faults += [f"tensor {name} is not in the spec" for name in tensors if name not in wanted]
    faults += [
        f"tensor {name} has shape {value.shape}; its spec needs {wanted[name]}"
        for name, value in tensors.items()
        if name in wanted and value.shape != wanted[name]
    ]
    yield from (_Finding(fault, ok=False) for fault in faults)
    if not faults:
        yield _Finding(f"names and shapes of {len(wanted)} tensors agree with the spec")


def _check_finite(arrays: Iterable[tuple[str, np.ndarray]], checked: str) -> Iterator[_Finding]:
    faults = [
        name for name, value in arrays if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all()
    ]
    yield from (_Finding(f"{name} holds numbers that are not finite", ok=False) for name in faults)
    if not faults:
        yield _Finding(f"all numbers of {checked} are finite")


def _check_folder(path: Path) -> Iterator[_Finding]:
    try:
        folder = read_networks(path)
    except WeightsError as error:
        yield _Finding(str(error), ok=False)
        return
    yield _Finding(f"{path.name} is a complete network folder of kind {folder.spec.kind}, digests as in {MANIFEST}")
    for name in NETWORKS:
        yield from _check_network(path / f"{name}.xml")


def _check_network(path: Path) -> Iterator[_Finding]:
    from pcavs.vino import ov

    if not (path.is_file() and path.with_suffix(".bin").is_file()):
        yield _Finding(f"no {path.name} or {path.stem}.bin; {AGAIN}", ok=False)
        return
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        reason = str(error).splitlines()[0][:_MESSAGE_CHARACTERS]
        yield _Finding(f"{path.name} cannot be read as a network ({reason}); {AGAIN}", ok=False)
        return
    constants = [each for each in model.get_ops() if each.get_type_name() == "Constant"]
    arrays = ((f"{path.name}: {each.get_friendly_name()}", each.data) for each in constants)
    yield from _check_finite(arrays, path.name)
