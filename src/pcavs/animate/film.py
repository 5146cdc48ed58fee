"""A film that is rendered while it is watched."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pcavs.animate.compose.dub import MouthPaster
from pcavs.animate.compose.paste import Backdrop, Paster, StillBackdrop
from pcavs.animate.identity import Identity
from pcavs.animate.options import Turn
from pcavs.animate.renderer import Renderer, make_renderer
from pcavs.animate.timing import PoseCodes, Timing
from pcavs.head.background import People
from pcavs.media.film import FilmWriter
from pcavs.media.mel import LazyMel, mel_windows
from pcavs.pose.codes import look
from pcavs.pose.measure import FaceReport
from pcavs.pose.track import HeadTrack
from pcavs.runtime.base import Runtime
from pcavs.types import CropTransform, Mel, Picture

_CHUNK = 64
"""Frames whose speech is encoded at once: content is never held for a whole film."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundTrack:
    """The driving audio as the film carries it."""

    path: Path
    start_s: float
    end_s: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """A talking film, all encoded and nothing rendered yet."""

    num_frames: int
    """floor(25 x samples / 16000 + 1/2), the samples counted at 16 kHz; frame k is shown at k/25 s. With
    `compat="published"` (ceil(samples / 160) + 7) // 4 - 4."""
    side_px: int
    notes: tuple[str, ...]
    """What a user may want to know, one line each."""
    sound: SoundTrack
    tags: dict[str, str]
    """Metadata of the file, which says that it is synthetic."""
    identity: Identity
    poses: PoseCodes
    """Codes to walk to and fro over."""
    mel: Mel | LazyMel
    """Frame k's window begins at bin 4 k; a lazy one is read while the film is rendered."""
    runtime: Runtime
    timing: Timing
    view: CropTransform | None = None
    """Moves every composed frame, where a timeline asks for another place or size than the crop's."""
    backdrop: Backdrop | None = None
    """What the head is put back into."""
    dubbed: Callable[[], MouthPaster] | None = None
    """Makes what puts only the mouth back, where the film of the person goes on."""
    heads: HeadTrack | None = None
    """What a timeline asked for, in what can be made; one row a frame."""
    faces: tuple[FaceReport, ...] = ()
    """What was seen in the pose films."""
    size_px: tuple[int, int] | None = None
    """Width and height where they are not `side_px`."""
    turn: Turn = "depth"
    """Who turns the head."""
    people: People | None = None
    """Tells the person from a background that holds still."""
    rest: Float32[np.ndarray, " frames"] | None = None
    """How far the mouth rests in each frame, 0 to 1."""
    articulation: float = 1.0
    """How far speech takes the face away from silence; 1 as it was heard."""
    closed: Float32[np.ndarray, " frames"] | None = None
    """How far the eyes are closed in each frame, 0 to 1."""

    @property
    def shown_px(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self.size_px or (self.side_px, self.side_px)

    @property
    def offset(self) -> int:
        """Frames by which the picture is early, by construction."""
        return self.timing.offset

    @property
    def frames(self) -> Iterator[Picture]:
        """Renders the frames one after the other, from the first, RGB; memory does not grow with their number."""
        if self.backdrop is None:
            yield from self.rendered(range(self.num_frames))
            return
        # What surrounds the crop may move with the head where it is known to hold still otherwise.
        renderer = self._renderer(wide=isinstance(self.backdrop, StillBackdrop))
        paster = self.dubbed() if self.dubbed is not None else self._paster(renderer)
        heads = self._performed(renderer, range(self.num_frames))
        for head, background in zip(heads, self.backdrop.frames(self.num_frames), strict=True):
            yield paster.paste(head, background)

    def rendered(self, frames: Sequence[int]) -> Iterator[Picture]:
        """Renders some frames, without what they are put back into."""
        for frame in self._performed(self._renderer(), frames):
            yield look(frame, self.view)

    def _renderer(self, *, wide: bool = False) -> Renderer:
        return make_renderer(self.runtime, self.identity, self.turn, wide=wide, people=self.people)

    def _performed(self, renderer: Renderer, frames: Sequence[int]) -> Iterator[Picture]:
        for first in range(0, len(frames), _CHUNK):
            chunk = frames[first : first + _CHUNK]
            for t, content in zip(chunk, self._contents(chunk), strict=True):
                pose = self.poses[self.timing.pose_index(t, len(self.poses))]
                yield renderer.frame(content, pose, 0.0 if self.closed is None else float(self.closed[t]))

    def _contents(self, frames: Sequence[int]) -> Float32[np.ndarray, "time content"]:
        """What is said in some frames, more or less distinctly; where the mouth rests, what is heard in silence."""
        heard = self.runtime.encode_speech(mel_windows(self.mel, frames))
        if self.rest is None and self.articulation == 1:
            return heard
        silent = self.runtime.encode_speech(np.zeros_like(mel_windows(self.mel, frames[:1])))
        rest = np.zeros(len(frames), np.float32) if self.rest is None else self.rest[list(frames)]
        share = 1 - np.float32(self.articulation) * (1 - rest)
        return heard + share[:, None] * (silent - heard)

    def _paster(self, renderer: Renderer) -> Paster:
        whole = self.identity.whole
        assert whole is not None
        own = renderer.frame(self._own_content(), self.identity.codes.pose)
        return Paster(whole.widened(renderer.margin_px), self.side_px + 2 * renderer.margin_px, own)

    def _own_content(self) -> Float32[np.ndarray, " content"]:
        """What the picture shows to be said; a `paper` talker does not know it, and any will do."""
        content = self.identity.codes.content
        return content if len(content) else self.runtime.encode_speech(mel_windows(self.mel, range(1)))[0]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Renders the film and writes it as mp4 with its sound, whole or not at all.

        Raises:
            OutputError: The film exists already, or cannot be written.
        """
        path = Path(path)
        with open_writer(path, self.shown_px, self.sound, self.tags, overwrite) as writer:
            for frame in self.frames:
                writer.write(frame)
        return path


def open_writer(
    path: Path, size_px: tuple[int, int], sound: SoundTrack, tags: dict[str, str], overwrite: bool
) -> FilmWriter:
    """Prepares the writer of a film."""
    return FilmWriter(
        path,
        size_px,
        audio=sound.path,
        audio_start_s=sound.start_s,
        audio_end_s=sound.end_s,
        metadata=tags,
        overwrite=overwrite,
    )
