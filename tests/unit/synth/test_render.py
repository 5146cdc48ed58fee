"""The toy head is rendered in the right place, turns the right way, and heads can be mixed."""

import ctypes.util
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.face.pose import rotation_from_angles
from pcavs.synth.avatars import Avatar, apply_morphs, blend_avatars, load_avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene, bone_matrices, rotation_matrix
from pcavs.synth.scenes import random_scene
from pcavs.types import Picture

GREY = 40
SCENE = Scene(
    background=np.full((16, 16, 3), GREY, np.uint8),
    lights=(
        Light(direction=(0.0, 0.0, 1.0), colour=(0.6, 0.6, 0.6)),
        Light(direction=(0.0, 1.0, 0.0), colour=(0.1, 0.1, 0.1)),
        Light(direction=(0.0, 0.0, -1.0), colour=(0.0, 0.0, 0.0)),
    ),
    sky=(0.3, 0.3, 0.3),
    ground=(0.2, 0.2, 0.2),
)


def drawn(head: Avatar, state: HeadState, scene: Scene = SCENE) -> Picture:
    """Renders one frame of 96 px."""
    with HeadRenderer(head, 96) as renderer:
        renderer.set_scene(scene)
        return renderer.render(state)


def dark_spots(picture: Picture) -> np.ndarray:
    """Returns the places (x, y) of the toy's black eyes."""
    y, x = np.nonzero((picture.max(axis=2) < 30) & (picture.max(axis=2) != GREY))
    return np.stack([x, y], axis=1)


def test_morphs_move_only_what_they_name(toy: Avatar) -> None:
    rest, opened = apply_morphs(toy, {}), apply_morphs(toy, {"AE_AA": 0.5, "unknown": 1.0})
    assert rest.shape == (toy.num_moving, 6)
    np.testing.assert_allclose(opened[:, 1] - rest[:, 1], -0.015, atol=1e-6)
    np.testing.assert_array_equal(opened[:, [0, 2, 3, 4, 5]], rest[:, [0, 2, 3, 4, 5]])


def test_angles_are_those_of_the_face_tracker() -> None:
    """Yaw, pitch and roll must mean the same in both packages; in pcavs.face y points down and z away."""
    flip = np.diag([1.0, -1.0, -1.0])
    for angles in ((30.0, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 0.0, 15.0), (-40.0, 12.0, -8.0)):
        theirs = rotation_from_angles(np.array([angles]))[0]
        np.testing.assert_allclose(flip @ theirs @ flip, rotation_matrix(*angles), atol=1e-9)


def test_the_head_bone_turns_by_exactly_the_given_angles(toy: Avatar) -> None:
    state = HeadState(yaw_deg=35.0, pitch_deg=-12.0, roll_deg=9.0, shift_m=(0.01, 0.02, 0.03))
    head = bone_matrices(toy, state)[2]
    np.testing.assert_allclose(head[:3, :3], rotation_matrix(35.0, -12.0, 9.0), atol=1e-12)


@pytest.mark.usefixtures("device")
def test_the_face_is_centred_and_framed_by_its_eye_distance(toy: Avatar) -> None:
    picture = drawn(toy, HeadState())
    spots = dark_spots(picture)
    assert abs(spots[:, 0].mean() - 47.5) < 2
    left, right = spots[spots[:, 0] < 48], spots[spots[:, 0] > 48]
    # The toy's eyes are painted 24/64 of 0.2 m apart, its eye joints lie 0.06 m apart: a factor of 1.25.
    assert right[:, 0].mean() - left[:, 0].mean() == pytest.approx(0.24 * 1.25 * 96, rel=0.1)
    assert (picture[:2, :2] == GREY).all()


@pytest.mark.usefixtures("device")
def test_positive_yaw_faces_the_pictures_right_and_positive_pitch_up(toy: Avatar) -> None:
    frontal = dark_spots(drawn(toy, HeadState())).mean(axis=0)
    turned = dark_spots(drawn(toy, HeadState(yaw_deg=25.0))).mean(axis=0)
    raised = dark_spots(drawn(toy, HeadState(pitch_deg=15.0))).mean(axis=0)
    assert turned[0] > frontal[0] + 3
    assert raised[1] < frontal[1] - 1


@pytest.mark.usefixtures("device")
def test_positive_roll_leans_clockwise(toy: Avatar) -> None:
    spots = dark_spots(drawn(toy, HeadState(roll_deg=20.0)))
    centre = spots[:, 0].mean()
    assert spots[spots[:, 0] > centre, 1].mean() > spots[spots[:, 0] < centre, 1].mean() + 5


@pytest.mark.usefixtures("device")
def test_the_same_state_gives_the_same_picture(toy: Avatar) -> None:
    np.testing.assert_array_equal(drawn(toy, HeadState(yaw_deg=9.0)), drawn(toy, HeadState(yaw_deg=9.0)))


@pytest.mark.usefixtures("device")
def test_exposure_brightens(toy: Avatar) -> None:
    bright = dataclasses.replace(SCENE, balance=(1.6, 1.6, 1.6))
    assert drawn(toy, HeadState(), bright)[60, 48].mean() > drawn(toy, HeadState())[60, 48].mean() + 10


@pytest.mark.usefixtures("device")
def test_hair_is_not_drawn_where_its_picture_is_transparent(toy: Avatar) -> None:
    """A sheet of hair in front of the face hides it, but for a transparent hole in the middle."""
    lock = np.full((64, 64, 4), (255, 0, 255, 255), np.uint8)
    lock[16:48, 16:48, 3] = 0
    in_front = toy.positions + np.array([0, 0, 0.02], np.float32)
    hairy = dataclasses.replace(
        toy,
        positions=np.concatenate([toy.positions, in_front]),
        normals=np.tile(toy.normals, (2, 1)),
        uvs=np.tile(toy.uvs, (2, 1)),
        bones=np.tile(toy.bones, (2, 1)),
        parts=np.concatenate([toy.parts, np.full_like(toy.parts, 5)]),
        triangles=(toy.triangles[0], toy.triangles[0] + np.uint32(len(toy.positions))),
        textures=(toy.textures[0], lock),
    )
    bare, covered = drawn(toy, HeadState()), drawn(hairy, HeadState())
    np.testing.assert_array_equal(covered[50, 48], bare[50, 48])
    assert (np.abs(covered.astype(int) - bare).sum(axis=2) > 100).sum() > 500


def test_a_missing_driver_is_reported_with_its_packages(toy: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moderngl")
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(InputError, match="apt install libegl1 libgl1-mesa-dri"):
        HeadRenderer(toy, 32)


def test_blending_with_itself_changes_nothing(toy: Avatar) -> None:
    same = blend_avatars(toy, toy, 0.5)
    np.testing.assert_allclose(same.positions, toy.positions, atol=1e-6)
    np.testing.assert_allclose(same.morphs, toy.morphs, atol=1e-6)
    np.testing.assert_array_equal(same.textures[0], toy.textures[0])


def test_blending_lies_between(toy: Avatar) -> None:
    wider = dataclasses.replace(toy, positions=toy.positions * np.array([1.2, 1, 1], np.float32))
    between = blend_avatars(toy, wider, 0.5)
    np.testing.assert_allclose(between.positions[:, 0], toy.positions[:, 0] * 1.1, atol=1e-6)


def test_the_skull_under_the_hair_is_not_mixed(toy: Avatar) -> None:
    parts = toy.parts.copy()
    parts[:4] = 5
    hairy = dataclasses.replace(toy, parts=parts)
    wider = dataclasses.replace(hairy, positions=toy.positions * np.array([1.2, 1, 1], np.float32))
    moved = np.abs(blend_avatars(hairy, wider, 0.5).positions - toy.positions).max(axis=1)
    away = np.linalg.norm(toy.positions[:, None] - toy.positions[None, :4], axis=2).min(axis=1)
    assert moved[away < 0.005].max() == 0
    # Only every second vertex of the hair is used, and the sums of squares are rounded.
    far = (away > 0.05) & (np.abs(toy.positions[:, 0]) > 0.05)
    np.testing.assert_allclose(moved[far], np.abs(toy.positions[far, 0]) * 0.1, atol=1e-3)


def test_a_simplified_partner_is_refused(toy: Avatar) -> None:
    simplified = dataclasses.replace(toy, uvs=toy.uvs + 0.01)
    with pytest.raises(InputError, match="--full"):
        blend_avatars(toy, simplified, 0.5)


def test_a_missing_head_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="convert_avatars"):
        load_avatar(tmp_path / "nobody.npz")


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04 cut off"])
def test_a_damaged_head_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.npz is not a head"):
        load_avatar(path)


def test_scenes_vary_and_repeat_with_their_seed() -> None:
    aim = (0.0, 0.0, 0.0)
    first, second, other = (random_scene(32, aim, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.background, second.background)
    assert first.lights == second.lights != other.lights
