"""Finds a talker's weights: the default in the package, and for given weights both of their forms."""

from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from pcavs.errors import WeightsError
from pcavs.weights.bundle import load_bundle, load_provenance
from pcavs.weights.networks import file_digest, is_network_folder, read_manifest

DEFAULT: Final = "pcavs-flow-128-v2"
"""Name of the talker that ships."""

NAMES: Final = ("default", DEFAULT)
"""What the weights in the package are called where a path is asked for."""

BUNDLE_ENDING: Final = ".safetensors"


class Weights(NamedTuple):
    """The files of a talker; it has at least one of the two forms."""

    bundle: Path | None
    """What torch runs."""
    networks: Path | None
    """What OpenVINO runs."""
    digest: str
    """SHA-256 of the bundle; known from the networks' manifest where the bundle itself is missing."""

    @property
    def name(self) -> str:
        """File name without ending."""
        return (self.networks or self.bundle or Path(DEFAULT)).name.removesuffix(BUNDLE_ENDING)


def packaged_weights() -> Path:
    """Returns the folder of the weights that ship with the package."""
    with resources.as_file(resources.files("pcavs") / "assets" / "weights") as path:
        return path


def is_default(path: Path) -> bool:
    """Tells whether a path is a name of the weights in the package; a file or folder of that name comes first."""
    return str(path) in NAMES and not path.exists()


def find_weights(path: Path | None = None) -> Weights:
    """Finds both forms of a talker: the networks lie beside the bundle, in a folder of the same name.

    A form that was made from other weights than the given one is ignored. A given bundle is read whole, a given
    folder's networks are not checked (`networks.read_networks` does that).

    Args:
        path: A bundle, a network folder, or a name of the default; None for the default.

    Raises:
        WeightsError: There are no weights, or they are damaged.
    """
    if path is None or is_default(path):
        path = packaged_weights() / DEFAULT
        if not is_network_folder(path):
            path = _bundle_beside(path)
            if not path.is_file():
                raise WeightsError(f"no default weights in {path.parent}; install pcavs again or give --weights")
    if path.is_dir():
        digest = read_manifest(path).digest
        bundle = _bundle_beside(path)
        fits = bundle.is_file() and file_digest(bundle) == digest
        return Weights(bundle if fits else None, path, digest)
    load_bundle(path)
    digest = file_digest(path)
    networks = path.with_suffix("")
    fits = is_network_folder(networks) and read_manifest(networks).digest == digest
    return Weights(path, networks if fits else None, digest)


def check_trained(weights: Weights) -> None:
    """Checks that a training run has come to all networks of a talker; weights of unknown origin count as trained.

    Raises:
        WeightsError: A network is untrained, so that films would show noise.
    """
    if weights.bundle is not None:
        provenance = load_provenance(weights.bundle)
    else:
        assert weights.networks is not None  # `Weights` has at least one form
        provenance = read_manifest(weights.networks).provenance
    untrained = str(provenance.get("untrained", "")).split()
    if untrained:
        raise WeightsError(
            f"{weights.name} makes no films yet: the stages that trained it ({provenance.get('stages', 'unknown')}) "
            f"leave {' and '.join(untrained)} untrained; go on with pcavs train --stage generator --start"
        )


def weight_files(path: Path) -> list[Path]:
    """Lists the files of given weights in both forms, without checking them."""
    folder = path if path.is_dir() else path.with_suffix("")
    return [path, _bundle_beside(folder), *(sorted(folder.iterdir()) if folder.is_dir() else ())]


def _bundle_beside(folder: Path) -> Path:
    return folder.with_name(folder.name + BUNDLE_ENDING)
