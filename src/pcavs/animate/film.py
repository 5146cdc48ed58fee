"""A film that is rendered while it is watched."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pcavs.animate.compose import make_composer
from pcavs.animate.convention import Convention, PoseCodes
from pcavs.animate.sources import Identity
from pcavs.backends.base import TalkerBackend
from pcavs.media.film import FilmWriter
from pcavs.media.mel import mel_windows
from pcavs.types import Mel, Picture

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
    mel: Mel
    """Frame k's window begins at bin 4 k."""
    backend: TalkerBackend
    convention: Convention

    @property
    def offset(self) -> int:
        """Frames by which the picture is early, by construction."""
        return self.convention.offset

    @property
    def frames(self) -> Iterator[Picture]:
        """Renders the frames one after the other, from the first, RGB; memory does not grow with their number."""
        composer = make_composer(self.backend.spec.kind, self.identity.picture)
        for first in range(0, self.num_frames, _CHUNK):
            chunk = range(first, min(first + _CHUNK, self.num_frames))
            contents = self.backend.encode_speech(mel_windows(self.mel, chunk))
            for t, content in zip(chunk, contents, strict=True):
                pose = self.poses[self.convention.pose_index(t, len(self.poses))]
                yield composer.frame(self.backend.render(self.identity.codes, content, pose))

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Renders the film and writes it as mp4 with its sound, whole or not at all.

        Raises:
            OutputError: The film exists already, or cannot be written.
        """
        path = Path(path)
        with open_writer(path, self.side_px, self.sound, self.tags, overwrite) as writer:
            for frame in self.frames:
                writer.write(frame)
        return path


def open_writer(path: Path, side_px: int, sound: SoundTrack, tags: dict[str, str], overwrite: bool) -> FilmWriter:
    """Prepares the writer of a film."""
    return FilmWriter(
        path,
        (side_px, side_px),
        audio=sound.path,
        audio_start_s=sound.start_s,
        audio_end_s=sound.end_s,
        metadata=tags,
        overwrite=overwrite,
    )
