"""The `Runtime` protocol, the arrays that pass through it, and how each kind of generator is called.

A runtime holds the four networks of a talker: identity, motion and speech encoder, and generator.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from pcavs.spec import FeatureSpec, TalkerSpec
from pcavs.types import SpeechWindows, States, Waveform

Face = UInt8[np.ndarray, "side side 3"]
"""Aligned crop of side `spec.sizes.frame_px`, RGB."""

Faces = UInt8[np.ndarray, "time side side 3"]
"""Aligned crops of one clip, RGB."""


class IdentityArrays(NamedTuple):
    """The identity code: what the generator takes from the identity reference. It is computed once a film."""

    vector: Float32[np.ndarray, " identity"]
    maps: tuple[Float32[np.ndarray, "channels _ _"], ...]
    """Feature maps. `flow`: at 1/16, 1/8, 1/4 and 1/2 of the crop's side, in that order; `paper`: one at 1/32."""
    content: Float32[np.ndarray, " content"]
    """Content of the identity reference itself: what its mouth shows."""
    pose: Float32[np.ndarray, " pose"]
    """Pose code of the identity reference."""


class FieldArrays(NamedTuple):
    """Output of the `flow` generator for one frame: the fields that warp and repaint the photograph.

    frame = mask * warped photograph + (1 - mask) * colours. `pcavs.animate` composes it at any resolution.
    """

    flow: Float32[np.ndarray, "2 half half"]
    """Displacement field (x, y): where each pixel comes from in the photograph, minus its own place. The crop spans
    [-1, 1] in both directions."""
    mask: Float32[np.ndarray, "frame frame"]
    """Share of the warped photograph, 0 to 1; the rest is `colours`."""
    colours: Float32[np.ndarray, "3 frame frame"]
    """RGB in [-1, 1]."""


class FaceArrays(NamedTuple):
    """Output of the `paper` generator for one frame: the face itself."""

    face: Float32[np.ndarray, "3 frame frame"]
    """RGB in [-1, 1]."""


Rendered: TypeAlias = FieldArrays | FaceArrays
"""Output of a generator; `TalkerSpec.kind` decides which."""


class GeneratorInterface(NamedTuple):
    """Order of the inputs and outputs of one kind of generator. All arrays have a batch axis of length 1 in front.

    The inputs are content, pose code, then the arrays of `identity_inputs`.
    """

    identity_inputs: Callable[[IdentityArrays], tuple[np.ndarray, ...]]
    """Returns the inputs after content and pose code, which are constant during a film."""
    read_outputs: Callable[[Sequence[np.ndarray]], Rendered]
    """Turns the outputs, in the network's order, into a named record without the batch axis."""


def _flow_identity_inputs(identity: IdentityArrays) -> tuple[np.ndarray, ...]:
    return tuple(value[None] for value in (identity.vector, identity.content, identity.pose, *identity.maps))


def _read_flow_outputs(outputs: Sequence[np.ndarray]) -> FieldArrays:
    flow, mask, colours = outputs
    return FieldArrays(flow[0], mask[0, 0], colours[0])


def _paper_identity_inputs(identity: IdentityArrays) -> tuple[np.ndarray, ...]:
    return tuple(value[None] for value in (identity.vector, *identity.maps))


def _read_paper_outputs(outputs: Sequence[np.ndarray]) -> FaceArrays:
    return FaceArrays(outputs[0][0])


GENERATOR_INTERFACES: Final = {
    "flow": GeneratorInterface(_flow_identity_inputs, _read_flow_outputs),
    "paper": GeneratorInterface(_paper_identity_inputs, _read_paper_outputs),
}
"""By `TalkerSpec.kind`."""


@runtime_checkable
class Features(Protocol):
    """The pretrained speech encoder; see `runtime.features.SpeechFeatures`."""

    spec: FeatureSpec
    bilabials: "Bilabials | None"
    """Hears m, b and p in the states; None if no network is trained on them."""

    def groups(self, windows: Iterable[Waveform]) -> Iterator[States]:
        """Yields the states of each window's group of frames, two for each frame."""
        ...


@runtime_checkable
class Bilabials(Protocol):
    """Hears m, b and p in speech features; see `runtime.bilabials.BilabialDetector`."""

    past_states: int
    future_states: int

    def probabilities(self, states: Float32[np.ndarray, "time states dim"]) -> Float32[np.ndarray, " time"]:
        """Returns for each frame the probability that it lies in m, b or p."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """The networks of a talker, loaded and ready; several threads may use it at the same time."""

    spec: TalkerSpec
    features: Features | None
    """Computes the states that the speech encoder hears; None if it hears mel windows."""
    description: str
    """Library, device and arithmetic, such as `openvino CPU bf16`."""

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference."""
        ...

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes the head pose of each crop as a pose code."""
        ...

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes the content that each crop's mouth shows."""
        ...

    def encode_speech(self, windows: SpeechWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes the content of each window of speech; the result for a window does not depend on the others."""
        ...

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Runs the generator for one frame. The arrays belong to the caller: later calls do not change them."""
        ...
