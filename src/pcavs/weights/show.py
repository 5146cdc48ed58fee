"""`pcavs weights list` and `pcavs weights show`: what weights are here and what they contain; needs no torch."""

import json
from pathlib import Path
from typing import Any, Final

from pcavs.errors import WeightsError
from pcavs.weights.bundle import load_bundle, read_spec
from pcavs.weights.locate import BUNDLE_ENDING, Weights, find_weights, packaged_weights
from pcavs.weights.networks import is_network_folder, read_manifest, read_networks
from pcavs.weights.options import ListOptions, ShowOptions

_MEGABYTE: Final = 1_000_000


def list_weights(options: ListOptions) -> list[str]:
    """Lists the talkers of the package and of a folder, one line each; unreadable ones with the reason.

    Raises:
        WeightsError: The given folder does not exist.
    """
    folders = {"in the package": packaged_weights()}
    if options.folder is not None:
        if not options.folder.is_dir():
            raise WeightsError(f"no folder {options.folder}; give one that holds bundles or network folders")
        folders[str(options.folder)] = options.folder
    rows: list[str] = []
    for title, folder in folders.items():
        names = sorted({each.name.removesuffix(BUNDLE_ENDING) for each in folder.iterdir() if _is_talker(each)})
        rows.append(f"{title}:{'' if names else ' none'}")
        rows += [f"  {name}: {_summary(folder / name)}" for name in names]
    return rows


def show(options: ShowOptions) -> dict[str, Any]:
    """Checks and describes weights (`describe`).

    Raises:
        WeightsError: There are no weights, or they are damaged.
    """
    return describe(find_weights(options.bundle))


def describe(weights: Weights) -> dict[str, Any]:
    """Checks every file of a talker, and returns its name, digest, sizes, spec, provenance and licence as JSON values.

    Raises:
        WeightsError: A file is missing or damaged.
    """
    facts: dict[str, Any] = {"name": weights.name, "digest": weights.digest}
    source = None
    if weights.networks is not None:
        source = read_networks(weights.networks)
        facts["networks"] = {"path": str(source.path), "megabytes": _megabytes(*source.path.iterdir())}
    if weights.bundle is not None:
        source = load_bundle(weights.bundle)
        numbers = sum(value.size for value in source.tensors.values())
        size = _megabytes(weights.bundle)
        facts["bundle"] = {"path": str(weights.bundle), "megabytes": size, "numbers": numbers}
    assert source is not None  # `Weights` has at least one form
    return facts | {
        "spec": json.loads(source.spec.to_json()),
        "provenance": source.provenance,
        "licence": source.licence,
    }


def _is_talker(path: Path) -> bool:
    return path.suffix == BUNDLE_ENDING if path.is_file() else is_network_folder(path)


def _summary(path: Path) -> str:
    """Returns kind, sizes and forms of the talker whose network folder is, or would be, `path`."""
    bundle = path.with_name(path.name + BUNDLE_ENDING)
    forms: list[str] = []
    try:
        spec = read_spec(bundle) if bundle.is_file() else read_manifest(path).spec
        if is_network_folder(path):
            read_manifest(path)
            forms.append(f"networks {_megabytes(*path.iterdir())} MB")
    except WeightsError as error:
        return f"unreadable: {error}"
    if bundle.is_file():
        forms.append(f"bundle {_megabytes(bundle)} MB")
    return f"{spec.kind}, faces {spec.sizes.frame_px} px, film {spec.sizes.picture_px} px; {', '.join(forms)}"


def _megabytes(*files: Path) -> float:
    return round(sum(file.stat().st_size for file in files) / _MEGABYTE, 1)
