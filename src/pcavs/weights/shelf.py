"""Where weights are: the default that rides in the package, and the two forms that a talker may have."""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from pcavs.errors import WeightsError
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import file_digest, is_network_folder, read_facts

DEFAULT = "pcavs-flow-128-v1"
"""Name of the talker that ships."""

BUNDLE_ENDING = ".safetensors"


class Weights(NamedTuple):
    """A talker on disk; at least one of its forms is there."""

    bundle: Path | None
    """What torch runs."""
    networks: Path | None
    """What OpenVINO runs."""
    digest: str
    """SHA-256 of the bundle, also where only the networks made from it are here."""

    @property
    def name(self) -> str:
        """File name without ending."""
        return (self.networks or self.bundle or Path(DEFAULT)).name.removesuffix(BUNDLE_ENDING)


def shelf() -> Path:
    """The folder of the weights that ride in the package."""
    with resources.as_file(resources.files("pcavs") / "assets" / "weights") as path:
        return path


def find_weights(place: Path | None = None) -> Weights:
    """Finds both forms of a talker: a bundle's networks lie beside it, in a folder of the same name.

    Networks that were made from another bundle than the one beside them are left aside.

    Args:
        place: A bundle or a network folder; None is the default.

    Raises:
        WeightsError: There are no weights, or they are damaged.
    """
    if place is None:
        place = shelf() / DEFAULT
        if not is_network_folder(place) and not _beside(place).is_file():
            raise WeightsError(f"no default weights in {shelf()}; install pcavs again or give --weights")
        place = place if is_network_folder(place) else _beside(place)
    if place.is_dir():
        folder = read_facts(place)
        bundle = _beside(place)
        return Weights(bundle if _has_digest(bundle, folder.digest) else None, place, folder.digest)
    load_bundle(place)
    digest = file_digest(place)
    networks = place.with_suffix("")
    fits = is_network_folder(networks) and read_facts(networks).digest == digest
    return Weights(place, networks if fits else None, digest)


def _beside(folder: Path) -> Path:
    return folder.with_name(folder.name + BUNDLE_ENDING)


def _has_digest(bundle: Path, digest: str) -> bool:
    return bundle.is_file() and file_digest(bundle) == digest
