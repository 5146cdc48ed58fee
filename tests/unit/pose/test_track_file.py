"""Saved tracks: what was written is read, and no file breaks the reader."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcavs.errors import InputError, OutputError
from pcavs.pose.track import still
from pcavs.pose.track_file import load_track, save_track


@pytest.fixture
def saved(tmp_path):
    track = still(10)
    track[:, 0] = np.arange(10)
    path = tmp_path / "turn.npz"
    save_track(track, np.ones(10, bool), path, overwrite=False)
    return path


def test_a_track_comes_back(saved):
    assert load_track(saved)[:, 0].tolist() == list(range(10))
    assert [path.name for path in saved.parent.iterdir()] == ["turn.npz"]


def test_a_track_that_is_there_is_kept(saved):
    with pytest.raises(OutputError, match="exists already"):
        save_track(still(3), np.ones(3, bool), saved, overwrite=False)
    save_track(still(3), np.ones(3, bool), saved, overwrite=True)
    assert len(load_track(saved)) == 3


@given(st.integers(0, 3000), st.binary(max_size=40))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_told_or_harmless(saved, tmp_path, at, patch):
    data = bytearray(saved.read_bytes())
    data[at : at + len(patch)] = patch
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(data)
    try:
        track = load_track(damaged)
    except InputError as error:
        told = str(error)
    else:
        told = "damaged.npz"
        assert np.isfinite(track).all()
    assert "damaged.npz" in told


@pytest.mark.parametrize(
    "arrays",
    [
        {"head": np.zeros((3, 6))},
        {"format": "pcavs-track-9", "frame_rate": 25, "head": np.zeros((3, 6))},
        {"format": "pcavs-track-1", "frame_rate": 30, "head": np.zeros((3, 6))},
        {"format": "pcavs-track-1", "frame_rate": 25, "head": np.zeros((3, 5))},
        {"format": "pcavs-track-1", "frame_rate": 25, "head": np.zeros((0, 6))},
        {"format": "pcavs-track-1", "frame_rate": 25, "head": np.full((3, 6), np.nan)},
        {"format": "pcavs-track-1", "frame_rate": 25, "head": np.full((3, 6), 1e9)},
        {"format": "pcavs-track-1", "frame_rate": 25, "head": np.array(["a"])},
    ],
)
def test_what_is_no_track(tmp_path, arrays):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(InputError, match=r"odd\.npz .*pcavs pose extract"):
        load_track(tmp_path / "odd.npz")


def test_a_track_that_says_it_is_encrypted(saved):
    """Found by fuzzing: zipfile raises a bare RuntimeError."""
    data = bytearray(saved.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"head.npy", data.index(b"PK\x01\x02")))
    data[entry + 8] |= 1
    data[data.rindex(b"PK\x03\x04", 0, data.index(b"head.npy")) + 6] |= 1
    saved.write_bytes(data)
    with pytest.raises(InputError, match="no head track"):
        load_track(saved)


def test_no_pickle_is_ever_read(tmp_path):
    np.savez(tmp_path / "odd.npz", format="pcavs-track-1", frame_rate=25, head=np.array([print], object))
    with pytest.raises(InputError, match="no head track"):
        load_track(tmp_path / "odd.npz")


def test_a_missing_track(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        load_track(tmp_path / "nothing.npz")
