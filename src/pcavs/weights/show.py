"""`pcavs weights show`: what weights say of themselves; needs no torch."""

import json
from pathlib import Path
from typing import Any

from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import read_networks
from pcavs.weights.options import ShowOptions
from pcavs.weights.shelf import Weights, find_weights

_MEGABYTE = 1_000_000


def run(options: ShowOptions) -> dict[str, Any]:
    """Checks weights and describes them.

    Raises:
        WeightsError: There are none, or they are damaged.
    """
    return describe(find_weights(options.bundle))


def describe(weights: Weights) -> dict[str, Any]:
    """Checks every file of a talker and gives its facts, ready for JSON.

    Raises:
        WeightsError: A file is missing or damaged.
    """
    facts: dict[str, Any] = {"name": weights.name, "digest": weights.digest}
    origin = None
    if weights.networks is not None:
        origin = read_networks(weights.networks)
        facts["networks"] = {"path": str(origin.path), "megabytes": _megabytes(*origin.path.iterdir())}
    if weights.bundle is not None:
        origin = load_bundle(weights.bundle)
        parameters = sum(value.size for value in origin.tensors.values())
        size = _megabytes(weights.bundle)
        facts["bundle"] = {"path": str(weights.bundle), "megabytes": size, "numbers": parameters}
    assert origin is not None  # one of a talker's two forms is always there
    return facts | {
        "spec": json.loads(origin.spec.to_json()),
        "provenance": origin.provenance,
        "licence": origin.licence,
    }


def _megabytes(*files: Path) -> float:
    return round(sum(file.stat().st_size for file in files) / _MEGABYTE, 1)
