"""Renders the frames of one person: from the controls of a frame to its pixels.

`DepthRenderer` (`turn="depth"`, the default of `flow` talkers) takes only the motion of lips and jaw from the network,
and turns the head by the depth of the photograph's landmarks. `NetworkRenderer` (`turn="network"`, and all `paper`
talkers) takes both from the network.
"""

from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from pcavs.animate.controls import Content, Controls
from pcavs.animate.identity import Identity, SourceCrop
from pcavs.animate.options import Turn
from pcavs.face.align import crop_picture
from pcavs.head.background import BackgroundShare, Matte, Segmenter, find_background
from pcavs.head.cutout import CutOut, lift
from pcavs.head.expression import ExpressionWarp
from pcavs.head.eyes import Eyes
from pcavs.head.grid import CELLS, MARGIN, WIDE, Places, margin_px, photo_px_maps, px_per_cell, sampled
from pcavs.head.occlusion import inpaint_folds
from pcavs.head.padding import blur_padding, photograph_mask
from pcavs.head.sampling import PhotoSampler
from pcavs.head.warp import DepthHead
from pcavs.mouth.closure import LipClosure
from pcavs.mouth.motion import Displacement, MouthMotion
from pcavs.mouth.render import Mouth, PaddedPhoto, SpeechFrame
from pcavs.pose.codes import Surroundings
from pcavs.runtime.base import FaceArrays, FieldArrays, Rendered, Runtime
from pcavs.types import Layer, Picture

_SAMPLING: Final = cv2.INTER_CUBIC
"""Photographs are resampled bicubically, which keeps skin and hair sharp."""


@runtime_checkable
class Renderer(Protocol):
    """Renders frames of one person."""

    margin_px: int
    """Width of the margin around the crop that frames include, on each side."""

    def frame(self, controls: Controls) -> Picture:
        """Renders one frame, RGB: the square crop with `margin_px` around it."""
        ...


def turns_by_depth(runtime: Runtime, turn: Turn) -> bool:
    """Tells whether heads are turned by depth: head poses are then rows of a head track, and not pose codes."""
    return turn == "depth" and runtime.spec.kind == "flow"


def make_renderer(  # noqa: PLR0913 - what the renderers differ in
    runtime: Runtime,
    identity: Identity,
    turn: Turn,
    *,
    wide: bool = False,
    segmenter: Segmenter | None = None,
    silence: Content | None = None,
    matte: Matte | None = None,
) -> Renderer:
    """Chooses the renderer of a film.

    Args:
        runtime: The talker's networks.
        identity: The person.
        turn: What turns the head; ignored for `paper` talkers, whose network turns it.
        wide: Frames include a margin around the crop, if the renderer can.
        segmenter: Segments the person, so that the background holds still; None lets the background near the head move
            with it.
        silence: Content of silence, for which lips meet; without it, open smiles hardly close in speech.
        matte: Share of person in each pixel of the photograph, if the person is to be cut out (`DepthRenderer.layer`).
    """
    if turns_by_depth(runtime, turn):
        return DepthRenderer(runtime, identity, wide=wide, segmenter=segmenter, silence=silence, matte=matte)
    return NetworkRenderer(runtime, identity)


class NetworkRenderer:
    """Renders frames in which the network turns the head.

    Eyelids and expression are ignored, because the networks have no control for it.
    """

    margin_px = 0

    def __init__(self, runtime: Runtime, identity: Identity) -> None:
        """Takes the networks and the person."""
        self._runtime, self._codes = runtime, identity.codes
        is_flow = runtime.spec.kind == "flow"
        self._composer = FieldComposer(identity.picture) if is_flow else FaceResizer(identity.picture.shape[0])

    def frame(self, controls: Controls) -> Picture:
        """Renders one frame; `controls.pose` is a pose code."""
        return self._composer.frame(self._runtime.render(self._codes, controls.content, controls.pose))


class FieldComposer:
    """Composes a frame from a `flow` generator's fields: warps the photograph and blends the painted colours in.

    Computes what `models.generator.compose` does, with three differences that together are below two levels of 255 on
    smooth pictures: the photograph is sampled bicubically instead of bilinearly; OpenCV rounds the sampled positions to
    1/32 pixel; the warped photograph and the colours are rounded to 8 bits before they
    are blended.
    """

    def __init__(self, picture: UInt8[np.ndarray, "side side 3"]) -> None:
        """Takes the photograph, RGB, at the film's size."""
        self._picture = picture
        side_px = picture.shape[0]
        self._rows, self._columns = (axis.astype(np.float32) for axis in np.mgrid[0:side_px, 0:side_px])

    def frame(self, rendered: Rendered) -> Picture:
        """Composes one frame; takes 2 ms at 256 pixels."""
        assert isinstance(rendered, FieldArrays)
        side_px = self._picture.shape[0]
        half = side_px / 2  # the photograph spans [-1, 1]
        columns = self._columns + _enlarged(rendered.flow[0], side_px) * half
        rows = self._rows + _enlarged(rendered.flow[1], side_px) * half
        warped = cv2.remap(self._picture, columns, rows, _SAMPLING, borderMode=cv2.BORDER_REPLICATE)
        mask = _enlarged(rendered.mask, side_px)
        painted = cv2.convertScaleAbs(_enlarged(rendered.colours.transpose(1, 2, 0), side_px) + 1, alpha=127.5)
        return np.asarray(cv2.blendLinear(warped, painted, mask, 1 - mask), np.uint8)


class FaceResizer:
    """Resizes the faces of a `paper` generator to the film's size."""

    def __init__(self, side_px: int) -> None:
        """Takes the side of the film."""
        self._side_px = side_px

    def frame(self, rendered: Rendered) -> Picture:
        """Returns one frame: rounded to 8 bits, then enlarged bicubically or reduced by area averaging."""
        assert isinstance(rendered, FaceArrays)
        # 128 is 127.5 + 0.5: the conversion to integers truncates, so this rounds.
        face = (np.clip(rendered.face.transpose(1, 2, 0), -1, 1) * 127.5 + 128.0).astype(np.uint8)
        if face.shape[0] == self._side_px:
            return face
        method = cv2.INTER_AREA if face.shape[0] > self._side_px else _SAMPLING
        return np.asarray(cv2.resize(face, (self._side_px, self._side_px), interpolation=method), np.uint8)


def _enlarged(field: np.ndarray, side_px: int) -> np.ndarray:
    """Resizes a field bilinearly, with pixel areas aligned (not corner centres), as the networks do."""
    return cv2.resize(np.ascontiguousarray(field), (side_px, side_px), interpolation=cv2.INTER_LINEAR)


class DepthRenderer:
    """Renders frames in which the network moves the lower face and the depth map turns the head.

    The network always takes the photograph's own pose code, for which its lips are best. Both warps are composed before
    the photograph is sampled, so it is resampled once.
    """

    def __init__(
        self,
        runtime: Runtime,
        identity: Identity,
        *,
        wide: bool,
        segmenter: Segmenter | None,
        silence: Content | None = None,
        matte: Matte | None = None,
    ) -> None:
        """Prepares the head and the background behind it; takes half a second."""
        self._runtime, self._codes = runtime, identity.codes
        self._side_px = identity.picture.shape[0]
        self._head = DepthHead(identity.mesh, self._side_px)
        padding_px = margin_px(self._side_px)
        photo = padded_photograph(identity)
        self._cut_out = None if matte is None else CutOut(photo, matte)
        self._background = (
            find_background(photo, identity.mesh, padding_px, segmenter) if self._cut_out is None else None
        )
        self._sampler = PhotoSampler(photo)
        self._eyes = Eyes(photo, identity.mesh, padding_px)
        self._expression = ExpressionWarp(identity.mesh, self._side_px)
        self.margin_px = padding_px if wide else 0
        self._margin = MARGIN if wide else 0
        at_rest = runtime.render(self._codes, self._codes.content, self._codes.pose)
        assert isinstance(at_rest, FieldArrays)
        self._mouth_motion = MouthMotion(identity.mesh, self._side_px, at_rest)
        self._mouth = Mouth(identity.mesh, identity.picture, identity.teeth)
        self._closure = LipClosure(identity.mesh, self._side_px, self._mouth.lips, self._displacement_of(silence))

    def frame(self, controls: Controls) -> Picture:
        """Renders one frame; `controls.pose` is a row of a head track."""
        return self._draw(controls)[0]

    def layer(self, controls: Controls) -> Layer:
        """Renders the person alone; the renderer was made with a matte."""
        frame, share = self._draw(controls)
        assert share is not None
        return lift(frame, share)

    def _draw(self, controls: Controls) -> tuple[Picture, BackgroundShare | None]:
        """Renders a frame; if the person is cut out, before mid grey, with the share of background in each pixel."""
        fields = self._runtime.render(self._codes, controls.content, self._codes.pose)
        assert isinstance(fields, FieldArrays)
        places = self._moved(self._head.sources(controls.pose, self._margin), controls)
        displacement, closing = self._closure.close(self._mouth_motion.displacement(fields), controls.closing)
        photo = self._eyes.show(controls.eyelids, controls.expression)
        frame, share = self._warped(photo, places + sampled(displacement, places))
        frame = inpaint_folds(frame, places, self._head.outside_face(places))
        return self._mouth.composite(frame, photo, SpeechFrame(fields, displacement, places, closing)), share

    def _moved(self, places: Places, controls: Controls) -> Places:
        """Adds the motion of brows, cheeks and smile to the warp of the head; the mouth speaks within it."""
        displacement = self._expression.displacement(controls.expression)
        return places if displacement is None else places + sampled(displacement, places)

    def _displacement_of(self, content: Content | None) -> Displacement | None:
        """Returns the displacement that a content causes; None without one."""
        if content is None:
            return None
        fields = self._runtime.render(self._codes, content, self._codes.pose)
        assert isinstance(fields, FieldArrays)
        return self._mouth_motion.displacement(fields)

    def _warped(self, photo: PaddedPhoto, places: Places) -> tuple[Picture, BackgroundShare | None]:
        """Warps the photograph to one frame, and holds its background still if it was found, or removes it."""
        columns, rows = photo_px_maps(places, self._side_px + 2 * self.margin_px, self._side_px)
        moved = self._sampler.sample(photo, columns, rows)
        if self._cut_out is not None:
            return self._cut_out.flatten(moved, columns, rows)
        return (moved if self._background is None else self._background.composite(moved, columns, rows)), None


def surroundings(identity: Identity) -> Surroundings:
    """Returns how much of the photograph lies around the crop, up to the margin of wide frames."""
    source = identity.source_crop
    if source is None:
        return Surroundings(0, 0, 0, 0)
    # At one pixel for each cell. A side counts as far as it shows as much of the photograph as the crop's own edge.
    transform = source.transform * np.float64(CELLS / identity.picture.shape[0])
    known = photograph_mask(source.picture, SourceCrop(source.picture, transform).widened(MARGIN).transform, WIDE)
    beside = slice(MARGIN, MARGIN + CELLS)
    columns, rows = known[beside].sum(axis=0), known[:, beside].sum(axis=1)
    return Surroundings(*(_reach(counts) for counts in (columns, rows, columns[::-1], rows[::-1])))


def _reach(counts: Int[np.ndarray, " cells"]) -> float:
    """Returns how far the photograph goes on before the crop, from the known cells of each line of the wide grid."""
    goes_on = counts[MARGIN - 1 :: -1] >= max(1, counts[MARGIN])
    return float(np.cumprod(goes_on).sum()) / CELLS


def padded_photograph(identity: Identity) -> PaddedPhoto:
    """Returns the crop with `margin_px` of the photograph around it.

    Outside the photograph its edge pixels are repeated and blurred.
    """
    side_px = identity.picture.shape[0]
    padding_px = margin_px(side_px)
    size_px = side_px + 2 * padding_px
    if identity.source_crop is None:
        photo = cv2.copyMakeBorder(
            identity.picture, padding_px, padding_px, padding_px, padding_px, cv2.BORDER_REPLICATE
        )
        known = np.zeros(photo.shape[:2], bool)
        known[padding_px : padding_px + side_px, padding_px : padding_px + side_px] = True
    else:
        source = identity.source_crop.widened(padding_px)
        photo = crop_picture(source.picture, source.transform, size_px)
        known = photograph_mask(source.picture, source.transform, size_px)
    return blur_padding(photo, known, px_per_cell(side_px))
