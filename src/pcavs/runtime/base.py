"""What every runtime of a talker does: arrays in, arrays out."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from pcavs.spec import TalkerSpec
from pcavs.types import MelWindows

Face = UInt8[np.ndarray, "side side 3"]
"""Aligned crop of `spec.sizes.frame_px`, RGB."""

Faces = UInt8[np.ndarray, "time side side 3"]


class IdentityArrays(NamedTuple):
    """All that the generator needs of the person."""

    vector: Float32[np.ndarray, " identity"]
    maps: tuple[Float32[np.ndarray, "channels _ _"], ...]
    """`flow`: maps at 1/16, 1/8, 1/4 and 1/2 of the frame's side, coarse to fine; `paper`: one at 1/32."""
    content: Float32[np.ndarray, " content"]
    """What the picture itself shows to be said."""
    pose: Float32[np.ndarray, " pose"]
    """The picture's own pose."""


class FieldArrays(NamedTuple):
    """What the `flow` generator says of a frame; `animate.compose` makes a picture of any size of it."""

    flow: Float32[np.ndarray, "2 half half"]
    """Where each pixel comes from in the identity picture, minus its own place; the picture spans [-1, 1]."""
    mask: Float32[np.ndarray, "frame frame"]
    """Share of the moved identity picture, 0 to 1; the rest is colours."""
    colours: Float32[np.ndarray, "3 frame frame"]
    """RGB in [-1, 1]."""


class FaceArrays(NamedTuple):
    """What the `paper` generator says of a frame: the face itself."""

    face: Float32[np.ndarray, "3 frame frame"]
    """RGB in [-1, 1]."""


Rendered: TypeAlias = FieldArrays | FaceArrays


class Conventions(NamedTuple):
    """How the generator of one kind of talker is spoken to; a batch axis of one leads every array."""

    person: Callable[[IdentityArrays], tuple[np.ndarray, ...]]
    """Its inputs after content and pose: what does not change during a film."""
    rendered: Callable[[Sequence[np.ndarray]], Rendered]
    """Its outputs, as they come, under their names."""


def _flow_person(identity: IdentityArrays) -> tuple[np.ndarray, ...]:
    return tuple(value[None] for value in (identity.vector, identity.content, identity.pose, *identity.maps))


def _flow_rendered(outputs: Sequence[np.ndarray]) -> FieldArrays:
    flow, mask, colours = outputs
    return FieldArrays(flow[0], mask[0, 0], colours[0])


def _paper_person(identity: IdentityArrays) -> tuple[np.ndarray, ...]:
    return tuple(value[None] for value in (identity.vector, *identity.maps))


def _paper_rendered(outputs: Sequence[np.ndarray]) -> FaceArrays:
    return FaceArrays(outputs[0][0])


CONVENTIONS: Final = {
    "flow": Conventions(_flow_person, _flow_rendered),
    "paper": Conventions(_paper_person, _paper_rendered),
}
"""By `TalkerSpec.kind`."""


@runtime_checkable
class Runtime(Protocol):
    """A talker, loaded and ready; not to be shared between threads."""

    spec: TalkerSpec
    description: str
    """Runtime, device and arithmetic, such as `openvino CPU bf16`."""

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference, once a film."""
        ...

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes where the head is."""
        ...

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes what is seen to be said."""
        ...

    def encode_speech(self, windows: MelWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes what is heard."""
        ...

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Gives what one frame shows, in arrays of the caller's own; which of the two, the spec's kind says."""
        ...
