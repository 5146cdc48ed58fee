"""Reads CSV tables that users write, such as an index of clips or a list of voices."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from pcavs.errors import InputError


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads a CSV file whose first line names the columns; one dictionary a row.

    A row that is too short has empty values, and what a row has beyond the named columns is dropped.

    Args:
        path: The file, in UTF-8, with or without a byte-order mark.
        columns: Columns that the first line must name; it may name more.

    Raises:
        InputError: The file cannot be read, is not a CSV text, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = [{name: row[name] for name in reader.fieldnames or ()} for row in reader] if not lacking else []
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is not CSV ({error}); check its quotes and commas") from error
    if any("\0" in value for row in rows for value in row.values()):
        raise InputError(f"{path} contains null characters; save it as UTF-8 text")
    if lacking:
        raise InputError(f"{path} has no column {' or '.join(lacking)}; its first line must name {', '.join(columns)}")
    return rows


def resolve_beside(path: str | Path, folder: Path) -> Path:
    """Returns the absolute path that a table in `folder` means by `path`; an absolute path stays as it is.

    `..` is resolved in the text, and symbolic links are kept: data sets are often gathered by links.
    """
    return Path(os.path.normpath((folder / path).absolute()))
