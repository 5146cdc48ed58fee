"""Without memory, libraries raise many kinds of errors, and users read one line."""

import errno
import resource

import pytest

from pcavs import cli
from pcavs.errors import OutOfMemoryError, WeightsError, raise_if_out_of_memory


def caused(error, cause):
    error.__cause__ = cause
    return error


SHORTAGES = {
    "python": MemoryError(),
    "system": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "thread": RuntimeError("can't start new thread"),
    "openvino": RuntimeError("Exception from src/inference/src/cpp/core.cpp:117:\nstd::bad_alloc\n"),
    "library": ImportError("x.so: failed to map segment from shared object"),
    "cause": caused(ValueError("no array"), MemoryError()),
}


@pytest.mark.parametrize("kind", SHORTAGES)
def test_a_shortage_is_one_line(kind, monkeypatch, capsys):
    def fail(_):
        raise SHORTAGES[kind]

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 1
    assert capsys.readouterr().err == "pcavs: error: out of memory; free some, or give smaller files\n"


@pytest.mark.parametrize("error", [ValueError("memory"), OSError(errno.ENOENT, "no"), WeightsError("damaged")])
def test_other_errors_are_none(error):
    raise_if_out_of_memory(error)


def test_a_limit_of_the_shell_is_named(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (700_000_000, 700_000_000))
    with pytest.raises(OutOfMemoryError, match=r"out of memory \(ulimit -v allows 0\.7 GB\); free some"):
        raise_if_out_of_memory(MemoryError())
