"""Renderers: a face at rest is the photograph, speech moves only the lower face, and everything else holds still."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_code, average_mesh, head_row, smooth_picture
from pcavs.animate.controls import Controls
from pcavs.animate.identity import SourceCrop, identity_of
from pcavs.animate.renderer import DepthRenderer, NetworkRenderer, Renderer, make_renderer, surroundings
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from pcavs.mouth.palette import MouthPalette
from pcavs.runtime.base import FaceArrays, FieldArrays, IdentityArrays
from pcavs.spec import TINY_FLOW, TINY_PAPER, TalkerSpec

SIDE, FRAME = 128, 64
CONTENT = np.zeros(64, np.float32)
TALK = np.ones(64, np.float32)
AHEAD = np.append(angles_deg(head_pose(average_mesh(SIDE)[None]).rotation.astype(np.float64))[0], np.zeros(3))
"""The photograph's own pose."""


class Fields:
    """A runtime whose displacement is `shift` everywhere, and which paints green with weight 1 - `mask`, in speech.

    `bias` is added to the displacement at rest too.
    """

    spec = TalkerSpec(flow=TINY_FLOW)
    features = None
    description = "drawn"

    def __init__(self, shift=0.0, mask=1.0, bias=0.0):
        self.shift, self.mask, self.bias = shift, mask, bias
        self.poses = []

    def encode_identity(self, face): ...

    def encode_pose(self, faces): ...

    def encode_lips(self, faces): ...

    def encode_speech(self, windows): ...

    def render(self, identity, content, pose):
        self.poses.append(pose)
        talks = float(content[0])
        flow = np.full((2, FRAME // 2, FRAME // 2), self.bias + self.shift * talks, np.float32)
        mask = np.full((FRAME, FRAME), 1 - (1 - self.mask) * talks, np.float32)
        colours = np.tile(np.array([-0.6, 0.2, -0.6], np.float32)[:, None, None], (1, FRAME, FRAME))
        return FieldArrays(flow, mask, colours)


class Painter(Fields):
    spec = TalkerSpec(kind="paper", paper=TINY_PAPER)

    def render(self, identity, content, pose):
        return FaceArrays(np.zeros((3, FRAME, FRAME), np.float32))


def person(side=SIDE, whole=True):
    big = smooth_picture(2 * side)
    transform = np.array([[1.0, 0, -side / 2], [0, 1, -side / 2]])
    crop = np.ascontiguousarray(big[side // 2 : -side // 2, side // 2 : -side // 2])
    maps = (np.zeros((1, 2, 2), np.float32),)
    codes = IdentityArrays(np.zeros(64, np.float32), maps, CONTENT, average_code())
    identity = identity_of(codes, crop, average_mesh(side))
    return identity._replace(source_crop=SourceCrop(big, transform) if whole else None)


def difference(frame, picture):
    return np.abs(frame.astype(int) - picture)


def test_the_setting_and_the_kind_of_talker_choose_the_renderer():
    identity = person()
    assert isinstance(make_renderer(Fields(), identity, "depth"), DepthRenderer)
    assert isinstance(make_renderer(Fields(), identity, "network"), NetworkRenderer)
    assert isinstance(make_renderer(Painter(), identity, "depth"), NetworkRenderer)
    assert isinstance(make_renderer(Painter(), identity, "depth"), Renderer)


@pytest.mark.parametrize("bias", [0.0, 0.05])
@pytest.mark.parametrize("whole", [True, False])
def test_a_face_at_rest_is_the_photograph(bias, whole):
    """The displacement for the photograph's own content is subtracted."""
    identity = person(whole=whole)
    frame = make_renderer(Fields(bias=bias), identity, "depth").frame(Controls(CONTENT, AHEAD))
    assert difference(frame, identity.picture).max() <= 1


def test_the_generator_always_gets_the_photographs_own_pose():
    talker = Fields()
    make_renderer(talker, person(), "depth").frame(Controls(TALK, head_row(yaw=25)))
    assert all(np.array_equal(pose, average_code()) for pose in talker.poses)


def test_speech_moves_the_lower_face_only():
    identity = person()
    frame = make_renderer(Fields(shift=0.1), identity, "depth").frame(Controls(TALK, AHEAD))
    changed = difference(frame, identity.picture).max(axis=-1)
    mesh = identity.mesh
    assert changed[: int(mesh[6, 1])].max() <= 1, "eyes and forehead hold still"
    assert changed[:, :8].max() <= 1, "so does the background at the left edge"
    lips = mesh[[0, 17, 61, 291], :2].mean(axis=0).astype(int)
    there = frame[lips[1], lips[0]].astype(int)
    # The shift is a tenth of half the picture. Horizontally the mirrored displacement cancels it.
    assert np.abs(there - identity.picture[lips[1] + 6, lips[0]]).max() <= 4


class Opener(Fields):
    """A runtime that lowers the jaw in speech."""

    def render(self, identity, content, pose):
        flow, mask, colours = super().render(identity, content, pose)
        rows = np.arange(FRAME // 2, dtype=np.float32)[:, None]
        seam = average_mesh(FRAME // 2)[[13, 14], 1].mean()
        flow[1] -= 0.1 * float(content[0]) * (rows - seam).clip(0, 1)
        return FieldArrays(flow, mask, colours)


def test_lips_part_below_the_nose_only_and_painted_hues_are_replaced():
    identity = person(side=256)
    frame = make_renderer(Opener(mask=0.0), identity, "depth").frame(Controls(TALK, AHEAD))
    assert difference(frame, identity.picture)[: int(identity.mesh[6, 1])].max() <= 1
    mouth = identity.mesh[14, :2].astype(int)
    red, green, _ = frame[mouth[1] + 5, mouth[0] + 2].astype(int)
    assert green < 100, "dark, although the generator paints a bright green"
    assert green < 1.4 * red


def test_a_side_that_is_not_a_multiple_of_four_is_rendered():
    identity = person(side=102)
    frame = make_renderer(Fields(mask=0.5, shift=0.05), identity, "depth").frame(Controls(TALK, head_row(yaw=10)))
    assert frame.shape == (102, 102, 3)
    still = make_renderer(Fields(), identity, "depth").frame(Controls(CONTENT, AHEAD))
    assert difference(still, identity.picture).max() <= 1


def test_a_wide_frame_shows_a_margin_of_the_photograph_that_holds_still_at_its_edge():
    identity = person()
    renderer = make_renderer(Fields(mask=0.5, shift=0.02), identity, "depth", wide=True)
    margin = renderer.margin_px
    assert margin == SIDE // 4
    wide = renderer.frame(Controls(TALK, head_row(yaw=15)))
    narrow = make_renderer(Fields(mask=0.5, shift=0.02), identity, "depth").frame(Controls(TALK, head_row(yaw=15)))
    assert wide.shape == (SIDE + 2 * margin,) * 2 + (3,)
    inner = difference(wide[margin:-margin, margin:-margin], narrow)
    assert inner[2:-2, 2:-2].max() <= 2
    surroundings = identity.source_crop.picture[
        SIDE // 2 - margin : -SIDE // 2 + margin, SIDE // 2 - margin : -SIDE // 2 + margin
    ]
    assert difference(wide, surroundings)[-8:].max() <= 1
    assert difference(wide, surroundings)[:, :8].max() <= 1
    assert difference(wide, surroundings).max() > 20


def test_eyes_close():
    identity = person()
    renderer = make_renderer(Fields(), identity, "depth")
    changed = difference(renderer.frame(Controls(CONTENT, AHEAD, 1.0)), identity.picture).max(axis=-1)
    rows = np.flatnonzero(changed.max(axis=1) > 2)
    eyes = identity.mesh[list(LEFT_EYE + RIGHT_EYE), 1]
    assert rows.min() > eyes.min() - 1.5 * np.ptp(eyes) - 8
    assert rows.max() < eyes.max() + 3


def lit_face(white, lips):
    mesh = average_mesh(SIDE)
    picture = np.full((SIDE, SIDE, 3), 110, np.uint8)
    for outline in (LEFT_EYE, RIGHT_EYE):
        cv2.fillPoly(picture, [np.rint(mesh[list(outline), :2]).astype(np.int32)], (white,) * 3)
    cv2.fillPoly(picture, [np.rint(mesh[list(OUTER_LIPS), :2]).astype(np.int32)], lips)
    cv2.fillPoly(picture, [np.rint(mesh[list(INNER_LIPS), :2]).astype(np.int32)], (0, 255, 0))
    return MouthPalette(mesh, picture).match


@pytest.mark.parametrize("colour", [(40, 90, 60), (90, 60, 140), (20, 40, 30), (150, 220, 150)])
def test_matched_hues_lie_between_teeth_and_lips(colour):
    tone = lit_face(200, (170, 100, 95))
    red, green, blue = tone(np.array([[colour]], np.float32))[0, 0]
    assert red >= green >= blue - 2
    luma = np.array([0.299, 0.587, 0.114])
    assert abs(np.dot([red, green, blue], luma) - np.dot(colour, luma)) < 12


def test_teeth_are_a_third_brighter_than_the_eyes_whites_at_most():
    teeth = np.array([[[250.0, 250, 240]]], np.float32)
    assert lit_face(90, (90, 50, 45))(teeth).max() < 1.45 * 90
    assert lit_face(230, (90, 50, 45))(teeth).min() > 180


def test_lips_keep_their_red():
    lips = np.array([[[170.0, 100, 95]]], np.float32)
    assert np.abs(lit_face(220, (170, 100, 95))(lips) - lips).max() < 8


def test_nearly_black_colours_are_reddish():
    red, green, _ = lit_face(200, (170, 100, 95))(np.array([[[30.0, 34, 34]]], np.float32))[0, 0]
    assert red > 1.15 * green


def test_lips_that_are_apart_meet_over_the_teeth_in_silence():
    teeth = (250, 250, 250)
    identity = person()
    picture = identity.picture.copy()
    inner = np.rint(identity.mesh[list(INNER_LIPS), :2]).astype(np.int32)
    outer = np.rint(identity.mesh[list(OUTER_LIPS), :2]).astype(np.int32)
    cv2.fillPoly(picture, [outer], (170, 90, 95))
    cv2.fillPoly(picture, [inner], teeth)
    identity = identity._replace(picture=picture, source_crop=None)

    def teeth_shown(silence):
        renderer = make_renderer(Fields(), identity, "depth", silence=silence)
        frame = renderer.frame(Controls(CONTENT, AHEAD))
        return int((frame[inner[:, 1].min() - 4 : inner[:, 1].max() + 5].min(axis=-1) > 225).sum())

    assert teeth_shown(CONTENT) < 0.1 * teeth_shown(None)


def test_the_surroundings_are_the_photograph_up_to_the_margin():
    whole = person()
    assert surroundings(whole) == pytest.approx((0.25, 0.25, 0.25, 0.25))
    assert surroundings(person(whole=False)) == (0, 0, 0, 0)
    picture = whole.source_crop.picture
    # The photograph ends 10 px to the left of the crop, and 4 px below the crop's top.
    corner = SIDE // 2 + 4, SIDE // 2 - 10
    cut = SourceCrop(picture[corner[0] :, corner[1] :], np.array([[1.0, 0, -10], [0, 1, 4]]))
    assert surroundings(whole._replace(source_crop=cut)) == pytest.approx((10 / 128, 0, 0.25, 0.25), abs=0.01)
