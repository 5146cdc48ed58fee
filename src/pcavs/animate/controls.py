"""Computes the controls of each frame of a film, from which a renderer draws it: content, head pose, lids and lips."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float32

from pcavs.animate.speech_input import SpeechInput
from pcavs.animate.timing import Timing
from pcavs.numeric import smoothstep
from pcavs.pose.expression import ExpressionRow, ExpressionTrack
from pcavs.runtime.base import Runtime

_CHUNK_FRAMES: Final = 64
"""Frames whose speech is encoded at once, so that memory does not grow with the film."""
_CLOSING_PROBABILITIES: Final = (0.3, 0.8)
"""Probabilities of m, b or p at which speech begins to close the lips and at which they meet. Chosen by eye."""

Content: TypeAlias = Float32[np.ndarray, " content"]
"""Speech content code of one frame."""
Pose: TypeAlias = Float[np.ndarray, " pose"]
"""Head pose of one frame, in the form that the renderer takes: a row of a head track (6 numbers) where the head is
turned by depth, a pose code (12 numbers) where the network turns it."""
Poses: TypeAlias = Float[np.ndarray, "time pose"]
"""Head poses of consecutive frames, in the same form."""


class Controls(NamedTuple):
    """The inputs of a renderer that change from frame to frame."""

    content: Content
    """Speech content code, after articulation and pauses."""
    pose: Pose
    """Head pose, in the form that the renderer takes."""
    eyelids: float = 0.0
    """Eyelid closure: 0 open, 1 shut."""
    closing: float = 0.0
    """How far the speech closes the lips: 0 as far as the content does, 1 until they meet."""
    expression: ExpressionRow | None = None
    """Lids, gaze, brows, cheeks and smile (`pose.expression`); None leaves them as they are in the photograph."""


class SpeechCodes(NamedTuple):
    """What the mouths of some frames do."""

    contents: Float32[np.ndarray, "time content"]
    """Speech content codes, after articulation and pauses."""
    closings: Float32[np.ndarray, " time"]
    """`Controls.closing` of each frame."""


class ContentEncoder:
    """Encodes speech as content, after articulation and pauses; films and live sessions use it."""

    def __init__(self, runtime: Runtime, articulation: float, silence: Content | None = None) -> None:
        """Stores the inputs.

        Args:
            runtime: Encodes the speech.
            articulation: Factor on the distance of the content from that of silence; 1 leaves the content as it is.
            silence: Content of silence; None encodes it when it is needed.
        """
        self._runtime, self._articulation, self._silence = runtime, articulation, silence

    def silence(self, speech: SpeechInput) -> Content:
        """Returns the content of silence."""
        silence = self._silence
        if silence is None:
            silence = self._silence = np.asarray(self._runtime.encode_speech(speech.silence()).mean(axis=0))
        return silence

    def encode(
        self, speech: SpeechInput, frames: Sequence[int], pauses: Float32[np.ndarray, " time"] | None
    ) -> SpeechCodes:
        """Encodes the speech of some frames, and scales the distance of their content from that of silence.

        The factor is articulation x (1 - pause), so in a full pause the content is that of silence.

        Args:
            speech: The driving audio as the speech encoder hears it.
            frames: The frames.
            pauses: How far the mouth rests in each of them, 0 to 1; None is speech throughout.
        """
        windows = speech.windows(frames)
        contents, closings = self._runtime.encode_speech(windows), _closings(speech.bilabials(windows), len(frames))
        if pauses is None and self._articulation == 1:
            return SpeechCodes(contents, closings)
        rest = np.zeros(len(frames), np.float32) if pauses is None else pauses
        share_of_silence = 1 - np.float32(self._articulation) * (1 - rest)
        return SpeechCodes(contents + share_of_silence[:, None] * (self.silence(speech) - contents), closings)

    def seen(self, contents: Float32[np.ndarray, "time content"]) -> SpeechCodes:
        """Returns contents that were seen, as they are: articulation and pauses are those of the film."""
        return SpeechCodes(contents, np.zeros(len(contents), np.float32))


def _closings(bilabials: Float32[np.ndarray, " time"] | None, num_frames: int) -> Float32[np.ndarray, " time"]:
    """Maps probabilities of m, b and p to how far the speech closes the lips."""
    if bilabials is None:
        return np.zeros(num_frames, np.float32)
    low, high = _CLOSING_PROBABILITIES
    return smoothstep((bilabials - low) / (high - low)).astype(np.float32)


class ControlTrack:
    """The controls of all frames of a film, computed a few frames at a time."""

    def __init__(  # noqa: PLR0913 - one argument for each input
        self,
        runtime: Runtime,
        timing: Timing,
        speech: SpeechInput,
        poses: Poses,
        *,
        articulation: float = 1.0,
        pauses: Float32[np.ndarray, " frames"] | None = None,
        eyelids: Float32[np.ndarray, " frames"] | None = None,
        expressions: ExpressionTrack | None = None,
        contents: Float32[np.ndarray, "frames content"] | None = None,
    ) -> None:
        """Stores the inputs; content is encoded when `of` is called.

        Args:
            runtime: Encodes the speech.
            timing: Maps each frame to one of the poses.
            speech: The driving audio as the speech encoder hears it.
            poses: Head poses; if there are fewer of them than frames, they are played forwards and backwards.
            articulation: Factor on the distance of the content from that of silence; 1 leaves the content as it is.
            pauses: How far the mouth rests in each frame, 0 to 1; None is speech throughout.
            eyelids: Eyelid closure of each frame, 0 open to 1 shut; None keeps the eyes open.
            contents: Content of each frame that was seen in a film; None encodes the speech.
            expressions: Lids, gaze, brows, cheeks and smile of each frame; None keeps those of the photograph.
        """
        self._encoder, self._timing = ContentEncoder(runtime, articulation), timing
        self.speech, self.poses, self.pauses, self.eyelids = speech, poses, pauses, eyelids
        self.expressions, self.contents = expressions, contents

    def of(self, frames: Sequence[int]) -> Iterator[Controls]:
        """Yields the controls of some frames, in the given order; memory does not grow with their number."""
        for first in range(0, len(frames), _CHUNK_FRAMES):
            chunk = frames[first : first + _CHUNK_FRAMES]
            pauses = None if self.pauses is None else self.pauses[list(chunk)]
            seen = None if self.contents is None else self.contents[list(chunk)]
            codes = self._encoder.encode(self.speech, chunk, pauses) if seen is None else self._encoder.seen(seen)
            for t, content, closing in zip(chunk, *codes, strict=True):
                pose = self.poses[self._timing.pose_index(t, len(self.poses))]
                eyelids = 0.0 if self.eyelids is None else float(self.eyelids[t])
                expression = None if self.expressions is None else self.expressions[t]
                yield Controls(content, pose, eyelids, float(closing), expression)

    def silence(self) -> Content:
        """Returns the content of silence."""
        return self._encoder.silence(self.speech)
