"""Network folders: a talker exported for OpenVINO, with a manifest that holds its spec and the digest of every file.

Format: docs/formats.md.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from pcavs.errors import OutputError, WeightsError
from pcavs.media.files import write_text
from pcavs.spec import TalkerSpec

FORMAT: Final = "pcavs-networks-1"
"""Name and version of the format, in every manifest."""

NETWORKS: Final = ("identity", "motion", "speech", "generator")
"""Names of a talker's networks (`models.inference.inference_networks`)."""

MANIFEST: Final = "spec.json"

AGAIN: Final = "download the folder again, or export its bundle again"
"""What to do about a damaged folder, which its user may not have exported."""

_FILES: Final = tuple(f"{name}.{ending}" for name in NETWORKS for ending in ("xml", "bin"))
"""Files of the networks; the manifest lists exactly these, and no path outside of its folder."""
_QUOTED_CHARACTERS: Final = 80
"""Characters of wrong names that an error message repeats."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFolder:
    """A talker exported for OpenVINO: `NAME.xml` and `NAME.bin` for each of `NETWORKS`, and the manifest."""

    path: Path
    spec: TalkerSpec
    digest: str
    """SHA-256 of the bundle that it was exported from, hexadecimal."""
    provenance: dict[str, str]
    """As in the bundle."""
    licence: str


def is_network_folder(path: Path) -> bool:
    """Tells whether a folder has a manifest; its content is not checked."""
    return (path / MANIFEST).is_file()


def read_manifest(path: Path) -> NetworkFolder:
    """Reads the manifest of a folder; the networks are not checked.

    Raises:
        WeightsError: There is no manifest, it is damaged, or of a format or spec unknown to this version.
    """
    fields = _manifest_fields(path)
    return NetworkFolder(
        path=path,
        spec=TalkerSpec.from_json(json.dumps(fields["spec"])),
        digest=fields["digest"],
        provenance=fields["provenance"],
        licence=fields["licence"],
    )


def read_networks(path: Path) -> NetworkFolder:
    """Reads the manifest of a folder and checks every network file against its SHA-256; takes about 20 ms.

    Raises:
        WeightsError: As `read_manifest`; or a file is missing or damaged.
    """
    folder = read_manifest(path)
    digests = _manifest_fields(path)["files"]
    if set(digests) != set(_FILES):
        named = ", ".join(sorted(str(name) for name in set(_FILES) ^ set(digests)))[:_QUOTED_CHARACTERS]
        raise WeightsError(f"{path / MANIFEST} does not list the networks' files exactly ({named}); {AGAIN}")
    for name, digest in digests.items():
        file = path / name
        if not file.is_file():
            raise WeightsError(f"{path} has no {name}; {AGAIN}")
        if file_digest(file) != digest:
            raise WeightsError(f"{file} is damaged: its SHA-256 differs from {MANIFEST}; {AGAIN}")
    return folder


def write_manifest(folder: NetworkFolder) -> None:
    """Writes the manifest, with the digests of the network files, which must exist.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        digests = {name: file_digest(folder.path / name) for name in _FILES}
    except OSError as error:
        raise OutputError(f"cannot read {folder.path} ({error.strerror}); choose another folder") from error
    fields = {
        "format": FORMAT,
        "spec": json.loads(folder.spec.to_json()),
        "digest": folder.digest,
        "provenance": folder.provenance,
        "licence": folder.licence,
        "files": digests,
    }
    write_text(folder.path / MANIFEST, json.dumps(fields, indent=1, sort_keys=True) + "\n")


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest_fields(path: Path) -> dict[str, Any]:
    manifest = path / MANIFEST
    try:
        fields = json.loads(manifest.read_text())
    except OSError as error:
        raise WeightsError(f"no weights at {path}; `pcavs weights list` shows those in the package") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{manifest} is not JSON ({error}); {AGAIN}") from error
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != FORMAT:
        raise WeightsError(f"{manifest} has format {found}, but {FORMAT} is needed; {AGAIN} with this version")
    missing = sorted({"spec", "digest", "provenance", "licence", "files"} - set(fields))
    missing += [name for name in ("files", "provenance") if name in fields and not isinstance(fields[name], dict)]
    if missing:
        raise WeightsError(f"{manifest} has no {', '.join(missing)}; {AGAIN}")
    return fields
