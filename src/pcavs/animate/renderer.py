"""From what is said and where the head is to the frame: who moves what.

A `paper` talker paints all of it. A `flow` talker says how the picture's pixels move; either also how they turn
(`learned`), or only how they speak, while the head is turned as a solid (`solid`, docs/decisions/0009).
"""

from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.animate.composer import make_composer
from pcavs.animate.identity import Identity
from pcavs.animate.options import Turn
from pcavs.face.align import crop_picture
from pcavs.head.background import People, find_background
from pcavs.head.blink import Lids
from pcavs.head.occlusion import healed
from pcavs.head.padding import known_part, softened
from pcavs.head.warp import CELLS, MARGIN, DepthHead
from pcavs.mouth.motion import SpeechFields, sampled
from pcavs.mouth.render import Mouth, Photo, Speaking
from pcavs.runtime.base import FieldArrays, Runtime
from pcavs.types import Picture

Content = Float32[np.ndarray, " content"]
Pose = Float32[np.ndarray, " pose"]


@runtime_checkable
class Renderer(Protocol):
    """One person, ready to speak and to turn."""

    margin_px: int
    """By how much its frames are larger than the crop, on each side."""

    def frame(self, content: Content, pose: Pose, closed: float = 0.0) -> Picture:
        """Gives the frame in which that is said, the head is there and the eyes are closed by a share."""
        ...


def make_renderer(
    runtime: Runtime, identity: Identity, turn: Turn, *, wide: bool = False, people: People | None = None
) -> Renderer:
    """Chooses once a film who turns the head.

    Args:
        runtime: The talker.
        identity: The person.
        turn: Who turns the head of a `flow` talker. Without landmarks, as where faces come aligned, it is the talker.
        wide: Frames may show more than the crop.
        people: Tells the person from a background that holds still; without it what is near a head moves along.
    """
    if runtime.spec.kind != "flow" or turn == "network" or identity.mesh is None:
        return NetworkRenderer(runtime, identity)
    return DepthRenderer(runtime, identity, wide=wide, people=people)


class NetworkRenderer:
    """Leaves everything to the talker, which knows of no lids."""

    margin_px = 0

    def __init__(self, runtime: Runtime, identity: Identity) -> None:
        """Takes the talker and the person."""
        self._backend, self._codes = runtime, identity.codes
        self._composer = make_composer(runtime.spec.kind, identity.picture)

    def frame(self, content: Content, pose: Pose, closed: float = 0.0) -> Picture:
        """Gives the frame in which that is said and the head is there."""
        return self._composer.frame(self._backend.render(self._codes, content, pose))


class DepthRenderer:
    """Lets the talker move the face of a head that does not turn, and turns the head with it.

    The talker always sees the picture's own pose, where it speaks best, so no pose reaches the lips. Pixels are fetched
    from the photograph in one go, through both motions at once.
    """

    def __init__(self, runtime: Runtime, identity: Identity, *, wide: bool, people: People | None) -> None:
        """Prepares the head and what is behind it; takes half a second."""
        assert identity.mesh is not None
        self._backend, self._codes = runtime, identity.codes
        self._side = identity.picture.shape[0]
        self._head = DepthHead(identity.mesh, self._side, identity.codes.pose)
        self._room_px = -(-self._side * MARGIN // CELLS)
        photo = _roomy(identity, self._room_px)
        self._background = find_background(photo, identity.mesh, self._room_px, people)
        self._lids = Lids(photo, identity.mesh, self._room_px)
        self.margin_px = self._room_px if wide else 0
        self._margin = MARGIN if wide else 0
        at_rest = runtime.render(self._codes, self._codes.content, self._codes.pose)
        assert isinstance(at_rest, FieldArrays)
        self._speech = SpeechFields(identity.mesh, self._side, at_rest)
        self._mouth = Mouth(identity.mesh, identity.picture)
        size = self._side + 2 * self.margin_px
        self._rows, self._columns = (axis.astype(np.float32) for axis in np.mgrid[0:size, 0:size])

    def frame(self, content: Content, pose: Pose, closed: float = 0.0) -> Picture:
        """Gives the frame in which that is said, the head is there and the eyes are closed by a share."""
        fields = self._backend.render(self._codes, content, self._codes.pose)
        assert isinstance(fields, FieldArrays)
        places = self._head.sources(pose, self._margin)
        motion = self._speech.motion(fields)
        photo = self._lids.closed(closed)
        moved = self._moved(photo, places + sampled(motion, places))
        moved = healed(moved, places, self._head.beyond_face(places))
        return self._mouth.parted(moved, photo, Speaking(fields, motion, places))

    def _moved(self, photo: Photo, places: Float32[np.ndarray, "rows columns 2"]) -> Picture:
        """Fetches every pixel from its place."""
        cells = len(places)
        pixels = self._side / CELLS
        shift = np.arange(cells, dtype=np.float32) + (MARGIN - self._margin)
        motion = np.dstack([places[..., 0] - shift[None], places[..., 1] - shift[:, None]]) * np.float32(pixels)
        size = len(self._rows)
        motion = cv2.resize(motion, (size, size), interpolation=cv2.INTER_CUBIC)
        room = np.float32(self._room_px - self.margin_px)
        columns, rows = self._columns + motion[..., 0] + room, self._rows + motion[..., 1] + room
        moved = cv2.remap(photo, columns, rows, _SAMPLING, borderMode=cv2.BORDER_REPLICATE)
        return moved if self._background is None else self._background.behind(moved, columns, rows)


_SAMPLING: Final = cv2.INTER_CUBIC


def _roomy(identity: Identity, room_px: int) -> Picture:
    """The crop with what is around it in the picture it was cut from; where that ends, its edge goes on, softly."""
    side = identity.picture.shape[0]
    size = side + 2 * room_px
    if identity.whole is None:
        photo = cv2.copyMakeBorder(identity.picture, room_px, room_px, room_px, room_px, cv2.BORDER_REPLICATE)
        known = np.zeros(photo.shape[:2], bool)
        known[room_px : room_px + side, room_px : room_px + side] = True
    else:
        whole = identity.whole.widened(room_px)
        photo = crop_picture(whole.picture, whole.transform, size)
        known = known_part(whole.picture, whole.transform, size)
    return softened(photo, known, side / CELLS)
