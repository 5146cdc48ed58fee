"""Triangles that no clip can show are found."""

import dataclasses

import numpy as np
import pytest

from pcavs.synth.avatars import Avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.synth.visibility import visible_triangles

DARK = Light(direction=(0.0, 0.0, 1.0), colour=(0.0, 0.0, 0.0))
SCENE = Scene(background=np.zeros((4, 4, 3), np.uint8), lights=(DARK,) * 3, sky=(0.1, 0.1, 0.1), ground=(0.0, 0.0, 0.0))


@pytest.fixture
def toy_with_hidden_part(toy: Avatar) -> Avatar:
    """The toy's sheet, and a small copy of it hidden behind its middle."""
    middle = np.array([0.0, 1.6, 0.1], np.float32)
    hidden = middle + (toy.positions - middle) * 0.02 - np.array([0, 0, 0.03], np.float32)
    return dataclasses.replace(
        toy,
        positions=np.concatenate([toy.positions, hidden.astype(np.float32)]),
        normals=np.tile(toy.normals, (2, 1)),
        uvs=np.tile(toy.uvs, (2, 1)),
        bones=np.tile(toy.bones, (2, 1)),
        parts=np.tile(toy.parts, 2),
        triangles=(np.concatenate([toy.triangles[0], toy.triangles[0] + np.uint32(len(toy.positions))]),),
    )


@pytest.mark.usefixtures("device")
def test_triangles_are_numbered_in_the_order_of_the_index_list(toy: Avatar) -> None:
    with HeadRenderer(dataclasses.replace(toy, triangles=(toy.triangles[0][:7],)), 128) as renderer:
        renderer.set_scene(SCENE)
        np.testing.assert_array_equal(renderer.visible_triangles(HeadState()), np.arange(7))


@pytest.mark.usefixtures("device")
def test_only_the_hidden_part_is_dropped(toy_with_hidden_part: Avatar) -> None:
    seen = visible_triangles(toy_with_hidden_part, 128)
    half = len(seen) // 2
    assert seen[:half].mean() > 0.95
    assert not seen[half:].any()


@pytest.mark.usefixtures("device")
def test_rendering_needs_a_scene(toy: Avatar) -> None:
    with HeadRenderer(toy, 32) as renderer, pytest.raises(ValueError, match="call set_scene before"):
        renderer.render(HeadState())
