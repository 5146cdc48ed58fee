"""Tables that users write: CSV with a first line of names."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from pcavs.errors import InputError


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads the rows of a CSV; what a short row lacks is empty, and what a long one has too much is left out.

    Args:
        path: The file, in UTF-8, with or without a byte-order mark.
        columns: Names that the first line must have; it may have more.

    Raises:
        InputError: The file cannot be read, is no such text, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = [{name: row[name] for name in reader.fieldnames or ()} for row in reader] if not lacking else []
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check the name and its rights") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it so") from error
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is not CSV ({error}); check its quotes and commas") from error
    if any("\0" in value for row in rows for value in row.values()):
        raise InputError(f"{path} holds zeros among its text; save it as text in UTF-8")
    if lacking:
        raise InputError(f"{path} has no column {' or '.join(lacking)}; its first line must name {', '.join(columns)}")
    return rows


def resolve_beside(path: str | Path, folder: Path) -> Path:
    """Returns the absolute path that a table in `folder` means by `path`; an absolute path stays as it is.

    `..` is resolved in the text, and symbolic links are kept: data sets are often gathered by links.
    """
    return Path(os.path.normpath((folder / path).absolute()))
