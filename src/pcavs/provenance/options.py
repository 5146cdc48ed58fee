"""Options of `pcavs verify` and `pcavs keys`."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Says whether a film or sound is synthetic and where it comes from: credentials, marks and tags."""

    file: Path
    """Any film or sound, also of other software."""
    anchor: Path | None = None
    """Root certificate in PEM to trust besides your own, such as one that `pcavs keys export` wrote."""
    log: Path | None = None
    """Log of films (`pcavs animate --log`) to look the file up in: the same film, or one with its picture and sound."""
    json: bool = False
    """Prints one JSON object instead of lines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowKeysOptions:
    """Shows your signing keys: folder, fingerprints, validity."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewKeysOptions:
    """Makes new signing keys and moves the old ones aside."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportKeysOptions:
    """Writes your root certificate, with which others can check your films."""

    out: Path
    """File to write (PEM). It holds no secret."""
