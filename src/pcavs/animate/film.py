"""A film that is rendered while it is watched."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pcavs.animate.compose import make_composer
from pcavs.animate.convention import Convention, PoseCodes
from pcavs.animate.headtrack import HeadTrack
from pcavs.animate.motion import FaceReport
from pcavs.animate.paste import Backdrop, Paster
from pcavs.animate.sources import Identity
from pcavs.animate.steering import look
from pcavs.backends.base import TalkerBackend
from pcavs.media.film import FilmWriter
from pcavs.media.mel import LazyMel, mel_windows
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
    backend: TalkerBackend
    convention: Convention
    view: CropTransform | None = None
    """Moves every composed frame, where a timeline asks for another place or size than the crop's."""
    backdrop: Backdrop | None = None
    """What the head is put back into."""
    heads: HeadTrack | None = None
    """What a timeline asked for, in what can be made; one row a frame."""
    faces: tuple[FaceReport, ...] = ()
    """What was seen in the pose films."""
    size_px: tuple[int, int] | None = None
    """Width and height where they are not `side_px`."""

    @property
    def shown_px(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self.size_px or (self.side_px, self.side_px)

    @property
    def offset(self) -> int:
        """Frames by which the picture is early, by construction."""
        return self.convention.offset

    @property
    def frames(self) -> Iterator[Picture]:
        """Renders the frames one after the other, from the first, RGB; memory does not grow with their number."""
        heads = self.rendered(range(self.num_frames))
        if self.backdrop is None:
            yield from heads
            return
        paster = self._paster()
        for head, background in zip(heads, self.backdrop.frames(self.num_frames), strict=True):
            yield paster.paste(head, background)

    def rendered(self, frames: Sequence[int]) -> Iterator[Picture]:
        """Renders some frames, without what they are put back into."""
        composer = make_composer(self.backend.spec.kind, self.identity.picture)
        for first in range(0, len(frames), _CHUNK):
            chunk = frames[first : first + _CHUNK]
            contents = self.backend.encode_speech(mel_windows(self.mel, chunk))
            for t, content in zip(chunk, contents, strict=True):
                pose = self.poses[self.convention.pose_index(t, len(self.poses))]
                yield look(composer.frame(self.backend.render(self.identity.codes, content, pose)), self.view)

    def _paster(self) -> Paster:
        whole, codes = self.identity.whole, self.identity.codes
        assert whole is not None
        composer = make_composer(self.backend.spec.kind, self.identity.picture)
        own = composer.frame(self.backend.render(codes, self._own_content(), codes.pose))
        return Paster(whole, self.side_px, own)

    def _own_content(self) -> Float32[np.ndarray, " content"]:
        """What the picture shows to be said; a `paper` talker does not know it, and any will do."""
        content = self.identity.codes.content
        return content if len(content) else self.backend.encode_speech(mel_windows(self.mel, range(1)))[0]

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
