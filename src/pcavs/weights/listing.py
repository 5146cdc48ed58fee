"""`pcavs weights list`: which talkers are here; needs no torch."""

from pathlib import Path

from pcavs.errors import WeightsError
from pcavs.weights.bundle import read_spec
from pcavs.weights.networks import is_network_folder, read_facts
from pcavs.weights.options import ListOptions
from pcavs.weights.shelf import BUNDLE_ENDING, shelf

_MEGABYTE = 1_000_000


def run(options: ListOptions) -> list[str]:
    """Lists talkers, one line each; what claims to be one and cannot be read is listed with the reason.

    Raises:
        WeightsError: The folder that was named is none.
    """
    folders = [shelf()]
    if options.folder is not None:
        if not options.folder.is_dir():
            raise WeightsError(f"no folder {options.folder}; name one that holds .safetensors files or networks")
        folders.append(options.folder)
    rows: list[str] = []
    for folder in folders:
        names = sorted({each.name.removesuffix(BUNDLE_ENDING) for each in folder.iterdir() if _is_talker(each)})
        rows.append(f"{folder if folder != folders[0] else 'in the package'}:{'' if names else ' none'}")
        rows += [f"  {name}: {_described(folder / name)}" for name in names]
    return rows


def _is_talker(place: Path) -> bool:
    return place.suffix == BUNDLE_ENDING if place.is_file() else is_network_folder(place)


def _described(place: Path) -> str:
    bundle = place.with_name(place.name + BUNDLE_ENDING)
    forms: list[str] = []
    try:
        spec = read_spec(bundle) if bundle.is_file() else read_facts(place).spec
        if is_network_folder(place):
            read_facts(place)
            forms.append(f"networks {_megabytes(*place.iterdir())} MB")
    except WeightsError as error:
        return f"unreadable: {error}"
    if bundle.is_file():
        forms.append(f"bundle {_megabytes(bundle)} MB")
    return f"{spec.kind}, faces {spec.sizes.frame_px} px, film {spec.sizes.picture_px} px; {', '.join(forms)}"


def _megabytes(*files: Path) -> float:
    return round(sum(file.stat().st_size for file in files) / _MEGABYTE, 1)
