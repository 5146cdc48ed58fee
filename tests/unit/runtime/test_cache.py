"""Compiled networks are kept for the next process, and whatever is wrong with the cache changes no result."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pcavs.face.person import PersonSegmenter
from pcavs.runtime import cache

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)

COMMAND = """
import numpy as np
from pcavs.face.person import PersonSegmenter
picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
print(PersonSegmenter().person_mask(picture).sum())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PCAVS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch):
    """Lists the networks that are compiled instead of loaded."""
    names, keep = [], cache._keep
    monkeypatch.setattr(cache, "_keep", lambda place, network: (names.append(place.name), keep(place, network)))
    return names


def mask():
    return PersonSegmenter().person_mask(PICTURE)


def test_the_second_time_a_network_is_loaded_as_it_was_compiled(folder, compiled):
    first = mask()
    assert [each.name for each in folder.iterdir()] == compiled
    np.testing.assert_array_equal(mask(), first)
    assert len(compiled) == 1


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign"])
def test_a_damaged_file_is_compiled_anew(folder, compiled, damage):
    first = mask()
    (kept,) = folder.iterdir()
    content = kept.read_bytes()
    foreign = b"no network"
    kept.write_bytes(
        {
            "cut": content[:-1000],
            "changed": content[:-1] + bytes([content[-1] ^ 1]),
            "empty": b"",
            "foreign": cache.hashlib.sha256(foreign).digest() + foreign,
        }[damage]
    )
    np.testing.assert_array_equal(mask(), first)
    np.testing.assert_array_equal(mask(), first)
    assert len(compiled) == 2, "the new file is used the third time"


@pytest.mark.parametrize("place", ["file", "below a file"])
def test_where_nothing_can_be_kept_networks_are_compiled(tmp_path, monkeypatch, place):
    monkeypatch.setenv("PCAVS_CACHE", "")
    first = mask()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PCAVS_CACHE", str(tmp_path / ("file" if place == "file" else "file/cache")))
    np.testing.assert_array_equal(mask(), first)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders of other systems are made read-only otherwise")
def test_a_read_only_folder(folder, compiled):
    folder.mkdir()
    folder.chmod(0o500)
    try:
        mask()
        assert len(compiled) == 1
        if os.geteuid() != 0:  # whom nothing is read-only for
            assert not list(folder.iterdir())
    finally:
        folder.chmod(0o700)


def test_two_processes_at_once_leave_one_whole_file(folder):
    """Both compile, both write; the third loads what they left."""
    processes = [
        subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert results[0][0] == results[1][0] != "", results
    assert len(list(folder.iterdir())) == 1


def test_other_contents_settings_and_versions_have_other_names(folder, tmp_path, monkeypatch):
    file = tmp_path / "a.xml"
    file.write_text("one")
    names = {cache._place([file], {"A": "1"}), cache._place([file], {"A": "2"})}
    file.write_text("two")
    names.add(cache._place([file], {"A": "1"}))
    monkeypatch.setattr(cache, "_processor", lambda: ("2099.1", "another"))
    names.add(cache._place([file], {"A": "1"}))
    assert len(names) == 4


def test_what_was_used_longest_ago_is_removed(folder, monkeypatch):
    monkeypatch.setattr(cache, "_MAX_FILES", 3)
    folder.mkdir()
    for age in range(5):
        file = folder / f"{age}.network"
        file.write_bytes(b"x")
        os.utime(file, (1e9 - age, 1e9 - age))
    mask()
    assert len(list(folder.iterdir())) == 3
    assert not (folder / "4.network").exists()


def test_the_folder_is_that_of_the_system(tmp_path, monkeypatch):
    monkeypatch.delenv("PCAVS_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "pcavs"
    monkeypatch.setenv("PCAVS_CACHE", "")
    assert cache.cache_folder() is None
