"""`pcavs weights verify`: whether weights are whole and fit what they say of themselves.

Comparing a bundle's tensors with its spec needs torch, which knows the networks; everything else does not.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcavs.errors import WeightsError
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import FACTS, NETWORKS, file_digest, is_network_folder, read_facts, read_networks
from pcavs.weights.options import VerifyOptions


class Report(NamedTuple):
    """What was looked at."""

    lines: list[str]
    """One a finding, good or bad."""
    ok: bool
    """Whether no finding is a fault."""


class _Finding(NamedTuple):
    text: str
    ok: bool = True


def run(options: VerifyOptions) -> Report:
    """Looks at everything that is there, and does not stop at the first fault.

    Raises:
        WeightsError: There is nothing at that place.
    """
    place = options.weights
    if not place.exists():
        raise WeightsError(f"no weights at {place}; `pcavs weights list` tells what is here")
    findings = list(_folder(place) if place.is_dir() else _bundle(place))
    lines = [f"{'ok' if each.ok else 'FAULT'}: {each.text}" for each in findings]
    return Report(lines, all(each.ok for each in findings))


def _bundle(path: Path) -> Iterator[_Finding]:
    try:
        bundle = load_bundle(path)
    except WeightsError as error:
        yield _Finding(str(error), ok=False)
        return
    digest = file_digest(path)
    yield _Finding(f"{path.name} is a whole bundle, {bundle.spec.kind}, SHA-256 {digest}")
    yield from _fit(bundle.tensors, bundle.spec)
    yield from _finite(bundle.tensors.items(), f"{len(bundle.tensors)} tensors")
    networks = path.with_suffix("")
    if is_network_folder(networks):
        fits = read_facts(networks).digest == digest
        told = "were made from this bundle" if fits else "were made from another bundle; export them again"
        yield _Finding(f"the networks beside it {told}", ok=fits)


def _fit(tensors: dict[str, np.ndarray], spec: TalkerSpec) -> Iterator[_Finding]:
    if importlib.util.find_spec("torch") is None:
        yield _Finding('tensors were not compared with the spec: that needs torch, pip install "pcavs[train]"')
        return
    wanted = _wanted(spec)
    faults = [f"tensor {name} is missing; {shape} is needed" for name, shape in wanted.items() if name not in tensors]
    faults += [f"tensor {name} is unknown to its spec" for name in tensors if name not in wanted]
    faults += [
        f"tensor {name} is {value.shape}; {wanted[name]} is needed"
        for name, value in tensors.items()
        if name in wanted and value.shape != wanted[name]
    ]
    yield from (_Finding(fault, ok=False) for fault in faults)
    if not faults:
        yield _Finding(f"{len(wanted)} tensors are those of its spec")


def _wanted(spec: TalkerSpec) -> dict[str, tuple[int, ...]]:
    import torch

    from pcavs.models.state import shapes_of
    from pcavs.models.talker import build_talker

    with torch.device("meta"):
        return shapes_of(build_talker(spec))


def _finite(arrays: Any, counted: str) -> Iterator[_Finding]:
    faults = [
        name for name, value in arrays if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all()
    ]
    yield from (_Finding(f"{name} holds numbers that are not finite", ok=False) for name in faults)
    if not faults:
        yield _Finding(f"the numbers of {counted} are finite")


def _folder(path: Path) -> Iterator[_Finding]:
    try:
        folder = read_networks(path)
    except WeightsError as error:
        yield _Finding(str(error), ok=False)
        return
    yield _Finding(f"{path.name} is a whole folder of networks, {folder.spec.kind}, digests as in {FACTS}")
    for name in NETWORKS:
        yield from _network(path / f"{name}.xml")


def _network(path: Path) -> Iterator[_Finding]:
    import openvino as ov

    if not (path.is_file() and path.with_suffix(".bin").is_file()):
        yield _Finding(f"no {path.name} or {path.stem}.bin; export the weights again", ok=False)
        return
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        yield _Finding(f"{path.name} is not a network ({str(error).splitlines()[0][:120]})", ok=False)
        return
    constants = [each for each in model.get_ops() if each.get_type_name() == "Constant"]
    yield from _finite(((f"{path.name}: {each.get_friendly_name()}", each.data) for each in constants), path.name)
