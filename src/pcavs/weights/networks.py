"""Network folders: OpenVINO networks with the spec they belong to beside them, checked before use."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from pcavs.errors import OutputError, WeightsError
from pcavs.spec import TalkerSpec

FORMAT = "pcavs-networks-1"
NETWORKS = ("identity", "motion", "speech", "generator")
FACTS = "spec.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFolder:
    """A talker converted for OpenVINO: `NAME.xml` and `NAME.bin` of each of `NETWORKS`, and `spec.json`."""

    path: Path
    spec: TalkerSpec
    digest: str
    """SHA-256 of the bundle that it was made from."""
    provenance: dict[str, str]
    licence: str


def is_network_folder(path: Path) -> bool:
    """Tells whether a folder claims to hold a converted talker."""
    return (path / FACTS).is_file()


def read_facts(path: Path) -> NetworkFolder:
    """Reads what a folder says of itself, without looking at its networks.

    Raises:
        WeightsError: No such folder, or of a format that this version does not know.
    """
    facts = _facts(path)
    return NetworkFolder(
        path=path,
        spec=TalkerSpec.from_json(json.dumps(facts["spec"])),
        digest=facts["digest"],
        provenance=facts["provenance"],
        licence=facts["licence"],
    )


def read_networks(path: Path) -> NetworkFolder:
    """Reads a folder's facts and checks every network file against its SHA-256 (about 20 ms).

    Raises:
        WeightsError: As `read_facts`; or a file is missing or damaged.
    """
    folder = read_facts(path)
    for name, digest in _facts(path)["files"].items():
        file = path / name
        if not file.is_file():
            raise WeightsError(f"{path} has no {name}; export the weights again")
        if file_digest(file) != digest:
            raise WeightsError(f"{file} is damaged: its SHA-256 is not the one in {FACTS}; export the weights again")
    return folder


def write_facts(folder: NetworkFolder) -> None:
    """Writes `spec.json` last of all, over network files that are there already.

    Raises:
        OutputError: The folder cannot be written.
    """
    files = [f"{name}.{ending}" for name in NETWORKS for ending in ("xml", "bin")]
    try:
        facts = {
            "format": FORMAT,
            "spec": json.loads(folder.spec.to_json()),
            "digest": folder.digest,
            "provenance": folder.provenance,
            "licence": folder.licence,
            "files": {name: file_digest(folder.path / name) for name in files},
        }
        (folder.path / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {folder.path}: {error.strerror}; choose another folder") from error


def file_digest(path: Path) -> str:
    """Gives the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads((path / FACTS).read_text())
    except OSError as error:
        raise WeightsError(f"no weights at {path}; `pcavs doctor` lists the ones that are here") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path / FACTS} is not JSON ({error}); export the weights again") from error
    found = facts.get("format") if isinstance(facts, dict) else None
    if found != FORMAT:
        raise WeightsError(f"{path / FACTS} has format {found}, {FORMAT} is needed; export the weights again")
    missing = sorted({"spec", "digest", "provenance", "licence", "files"} - set(facts))
    if missing or not isinstance(facts["files"], dict):
        raise WeightsError(f"{path / FACTS} has no {', '.join(missing) or 'files'}; export the weights again")
    return facts
