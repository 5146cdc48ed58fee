"""`pcavs animate`: one film, from files to a file."""

import dataclasses
import logging
import time
from pathlib import Path

from pcavs.animate.animator import load_animator
from pcavs.animate.film import open_writer
from pcavs.animate.options import AnimateOptions, verify
from pcavs.animate.sources import Watch
from pcavs.spec import FRAME_RATE

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What was made."""

    out: str
    frames: int
    seconds: float
    """Of the film."""
    fps: int
    offset: int
    """Frames by which the picture is early, by construction."""
    size: int
    """Side in pixels."""
    seed: int
    took_s: float
    """From the command to the finished file, loading included."""
    rendered_per_s: float
    """Frames rendered and written a second, loading left out."""
    backend: str
    weights: str
    digest: str
    notes: tuple[str, ...]

    def line(self) -> str:
        """The summary for a reader."""
        film = f"{self.frames} frames, {self.seconds:.2f} s at {self.fps} fps, {self.size} px, offset {self.offset}"
        return f"{self.out}: {film}; made in {self.took_s:.1f} s ({self.rendered_per_s:.1f} frames a second)"


def run(options: AnimateOptions, watch: Watch) -> Summary:
    """Makes one film, whole or not at all.

    The place for the film is tried before anything is computed.

    Raises:
        PcavsError: A file, a setting, the weights or the place of the film cannot be used.
    """
    started = time.monotonic()
    verify(options)
    animator = load_animator(options.weights, options.device)
    side_px = animator.side_px(options)
    with open_writer(
        options.out, side_px, animator.sound(options), animator.tags(options), options.overwrite
    ) as writer:
        film = animator.film(options, watch)
        for note in film.notes:
            logger.warning("%s", note)
        began = time.monotonic()
        for number, frame in enumerate(film.frames, start=1):
            writer.write(frame)
            watch("rendering", number, film.num_frames)
    ended = time.monotonic()
    return Summary(
        out=str(Path(options.out)),
        frames=film.num_frames,
        seconds=film.num_frames / FRAME_RATE,
        fps=FRAME_RATE,
        offset=film.offset,
        size=side_px,
        seed=options.seed,
        took_s=round(ended - started, 3),
        rendered_per_s=round(film.num_frames / max(ended - began, 1e-9), 2),
        backend=animator.backend.description,
        weights=animator.name,
        digest=animator.digest,
        notes=film.notes,
    )
