"""Head tracks: extrapolation, cross-fades, the limit of the slew rate, relative tracks, and their files."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcavs.errors import InputError, OutputError
from pcavs.face.pose import HeadPose, rotation_from_angles
from pcavs.pose.track import (
    LARGEST_STEP,
    cross_fade,
    extrapolate,
    from_heads,
    limit_slew_rate,
    load_saved,
    load_track,
    relative_to,
    save_track,
    smoothed,
    still,
)


def ramp(num_frames, step=1.0):
    track = still(num_frames)
    track[:, 0] = step * np.arange(num_frames)
    return track


tracks = st.integers(1, 40).flatmap(lambda n: arrays(np.float64, (n, 6), elements=st.floats(-90, 90, width=32)))


def test_bounce_repeats_no_end_frame():
    assert extrapolate(ramp(4), 9, "bounce")[:, 0].tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_hold_repeats_the_last_row():
    assert extrapolate(ramp(3), 6, "hold")[:, 0].tolist() == [0, 1, 2, 2, 2, 2]


def test_a_loop_fades_its_end_into_its_beginning():
    turned = extrapolate(ramp(100, 0.5), 300, "loop")[:, 0]
    assert np.abs(np.diff(turned)).max() < 8, "without a fade it would jump by 49 degrees"
    assert np.array_equal(turned[:80], turned[88:168])


@given(tracks, st.integers(1, 120), st.sampled_from(["hold", "loop", "bounce"]))
def test_any_track_can_have_any_length(track, num_frames, extrapolation):
    assert extrapolate(track, num_frames, extrapolation).shape == (num_frames, 6)


@given(tracks)
def test_the_limited_track_never_exceeds_the_largest_step(track):
    slow = limit_slew_rate(track)
    assert (np.abs(np.diff(slow, axis=0)) <= LARGEST_STEP + 1e-9).all()
    assert (slow <= track.max(axis=0) + 1e-9).all()
    assert (slow >= track.min(axis=0) - 1e-9).all()


@given(tracks)
def test_the_limit_does_not_depend_on_the_direction_of_time(track):
    assert np.allclose(limit_slew_rate(track), limit_slew_rate(track[::-1])[::-1])


@given(tracks)
def test_limiting_twice_changes_nothing(track):
    slow = limit_slew_rate(track)
    assert np.allclose(limit_slew_rate(slow), slow, atol=1e-9)


def test_pieces_are_cross_faded():
    left, right = still(100), still(100)
    left[:, 0], right[:, 0] = -20, 20
    whole = cross_fade([(left, 0), (right, 50)], 100, 10)
    assert whole[49, 0] == -20
    assert np.abs(np.diff(whole[:, 0])).max() <= 3
    assert whole[-1, 0] == 20
    assert (np.diff(whole[:, 0]) >= 0).all()


def test_a_relative_track_starts_with_the_given_pose():
    own = np.array([12.0, -7.0, 4.0])
    track = ramp(30)
    track[:, 0] += 35
    track[:, 3] = 0.4
    moved = relative_to(track, own)
    assert np.allclose(moved[0, :3], own, atol=1e-6)
    assert np.allclose(moved[:, 3:], 0)
    assert moved[29, 0] == pytest.approx(12 + 29, abs=2)


def test_smoothing_keeps_constants_and_removes_noise():
    rng = np.random.default_rng(0)
    noisy = still(200) + 5
    noisy[:, 0] += rng.normal(0, 1, 200)
    smooth = smoothed(noisy, 0.4, 25)
    assert np.allclose(smooth[:, 1], 5)
    assert smooth[:, 0].std() < 0.5
    assert np.array_equal(smoothed(noisy, 0.0, 25), noisy)


def test_heads_are_relative_to_their_mean_place():
    angles = np.array([[10.0, 0, 0], [20, 0, 0]])
    place = np.array([[100.0, 50], [130.66, 50]], np.float32)
    heads = HeadPose(rotation_from_angles(angles).astype(np.float32), place, np.full(2, 2.0, np.float32))
    track = from_heads(heads)
    assert np.allclose(track[:, 0], [10, 20], atol=1e-3)
    assert np.allclose(track[:, 3], [-0.5, 0.5], atol=1e-3), "a face width is 15.33 cm, here 30.66 px"
    assert np.allclose(track[:, 4:], 0, atol=1e-6)


@pytest.fixture
def saved(tmp_path):
    track = still(10)
    track[:, 0] = np.arange(10)
    path = tmp_path / "turn.npz"
    save_track(track, np.ones(10, bool), path, overwrite=False)
    return path


def test_a_saved_track_is_read_back(saved):
    assert load_track(saved)[:, 0].tolist() == list(range(10))
    assert [path.name for path in saved.parent.iterdir()] == ["turn.npz"]


def test_an_existing_track_is_kept(saved):
    with pytest.raises(OutputError, match="exists already"):
        save_track(still(3), np.ones(3, bool), saved, overwrite=False)
    save_track(still(3), np.ones(3, bool), saved, overwrite=True)
    assert len(load_track(saved)) == 3


@given(st.integers(0, 3000), st.binary(max_size=40))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_harmless(saved, tmp_path, at, patch):
    data = bytearray(saved.read_bytes())
    data[at : at + len(patch)] = patch
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(data)
    try:
        track = load_track(damaged)
    except InputError as error:
        message = str(error)
    else:
        message = "damaged.npz"
        assert np.isfinite(track).all()
    assert "damaged.npz" in message


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
def test_other_arrays_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(InputError, match=r"odd\.npz .*pcavs pose extract"):
        load_track(tmp_path / "odd.npz")


def test_a_track_that_claims_to_be_encrypted_is_refused(saved):
    """Found by fuzzing: zipfile raises a bare RuntimeError."""
    data = bytearray(saved.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"head.npy", data.index(b"PK\x01\x02")))
    data[entry + 8] |= 1
    data[data.rindex(b"PK\x03\x04", 0, data.index(b"head.npy")) + 6] |= 1
    saved.write_bytes(data)
    with pytest.raises(InputError, match="not a head track"):
        load_track(saved)


def test_pickles_are_never_read(tmp_path):
    np.savez(tmp_path / "odd.npz", format="pcavs-track-1", frame_rate=25, head=np.array([print], object))
    with pytest.raises(InputError, match="not a head track"):
        load_track(tmp_path / "odd.npz")


def test_a_missing_track_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        load_track(tmp_path / "nothing.npz")


def test_faces_are_saved_beside_the_head_and_old_tracks_still_load(tmp_path):
    face = np.random.default_rng(0).normal(size=(5, 10))
    save_track(still(5), np.ones(5, bool), tmp_path / "new.npz", overwrite=False, face=face)
    save_track(still(5), np.ones(5, bool), tmp_path / "old.npz", overwrite=False)
    assert np.allclose(load_saved(tmp_path / "new.npz").face, face, atol=1e-6)
    assert load_saved(tmp_path / "old.npz").face is None
    assert len(load_track(tmp_path / "old.npz")) == 5


@pytest.mark.parametrize("face", [np.zeros((4, 10)), np.zeros((5, 9)), np.full((5, 10), np.nan)])
def test_damaged_faces_are_refused(tmp_path, face):
    head, found = np.zeros((5, 6), np.float32), np.ones(5, bool)
    np.savez(tmp_path / "odd.npz", format="pcavs-track-1", frame_rate=25, head=head, found=found, face=face)
    with pytest.raises(InputError, match="measurements of a face"):
        load_saved(tmp_path / "odd.npz")
