"""Implements `pcavs keys`."""

from typing import Any

from pcavs.provenance import keys
from pcavs.provenance.options import ExportKeysOptions, NewKeysOptions, ShowKeysOptions


def show_keys(_: ShowKeysOptions) -> dict[str, Any]:
    """Describes the user's keys."""
    return keys.describe()


def new_keys(_: NewKeysOptions) -> dict[str, Any]:
    """Makes new keys and describes them."""
    keys.new_keys()
    return keys.describe()


def export_keys(options: ExportKeysOptions) -> str:
    """Writes the root certificate; returns its path."""
    keys.export_root(options.out)
    return str(options.out)
