"""CSV tables that users write: valid ones are read, others are refused in one line."""

from pathlib import Path

import pytest

from pcavs.data.table import read_table
from pcavs.errors import InputError


def test_rows_are_read_by_name(tmp_path: Path):
    path = tmp_path / "index.csv"
    path.write_bytes(b'\xef\xbb\xbfpath,who\na.mp4,Ann\n"b, c.mp4"\nd.mp4,Di,more\n')
    rows = read_table(path, ["path"])
    assert [list(row.values()) for row in rows] == [["a.mp4", "Ann"], ["b, c.mp4", ""], ["d.mp4", "Di"]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no column path; its first line must name path"),
        (b"file,who\na,b\n", "has no column path"),
        (b"path\n\xff\xfe\n", "is not UTF-8 text"),
        (b"path\na\0b.mp4\n", "contains null characters"),
        (b'path\n"a', "is not CSV"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path: Path, data: bytes, message: str):
    (tmp_path / "index.csv").write_bytes(data)
    with pytest.raises(InputError, match="^[^\n]*$") as error:
        read_table(tmp_path / "index.csv", ["path"])
    assert message in str(error.value)


def test_a_missing_table_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.csv cannot be opened"):
        read_table(tmp_path / "none.csv", ["path"])
