"""`pcavs animate`: one film, from files to a file."""

import dataclasses
import json
import logging
import time
from pathlib import Path

from pcavs.animate.film import Film, open_writer
from pcavs.animate.options import AnimateOptions
from pcavs.animate.preview import write_preview
from pcavs.animate.say import with_voice
from pcavs.animate.talker import Talker, load_talker, sound_track
from pcavs.errors import OutputError
from pcavs.spec import FRAME_RATE
from pcavs.types import Progress

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
    """Side in pixels; of what the talker makes, where that is put back into a picture."""
    seed: int
    took_s: float
    """From the command to the finished file, loading included."""
    rendered_per_s: float
    """Frames rendered and written a second, loading left out."""
    runtime: str
    weights: str
    digest: str
    notes: tuple[str, ...]

    def line(self) -> str:
        """The summary for a reader."""
        film = f"{self.frames} frames, {self.seconds:.2f} s at {self.fps} fps, {self.size} px, offset {self.offset}"
        return f"{self.out}: {film}; made in {self.took_s:.1f} s ({self.rendered_per_s:.1f} frames a second)"


def run(options: AnimateOptions, progress: Progress) -> Summary:
    """Makes one film, whole or not at all.

    The place for the film is tried before anything is computed.

    Raises:
        PcavsError: A file, a setting, the weights or the place of the film cannot be used.
    """
    started = time.monotonic()
    with with_voice(options) as spoken:
        summary = make(load_talker(spoken.weights, spoken.device), spoken, progress)
    return dataclasses.replace(summary, took_s=round(time.monotonic() - started, 3))


def make(talker: Talker, options: AnimateOptions, progress: Progress) -> Summary:
    """Makes one film with a talker that is loaded already.

    Raises:
        PcavsError: A file, a setting or the place of the film cannot be used.
    """
    started = time.monotonic()
    sound, tags = sound_track(options), talker.tags(options)
    with open_writer(options.out, None, sound, tags, options.overwrite) as writer:
        film = talker.film(options, progress)
        for note in film.notes:
            logger.warning("%s", note)
        if options.report is not None:
            write_report(film, options.report)
        if options.preview:
            write_preview(film, options.out)
        began = time.monotonic()
        for number, frame in enumerate(film.frames, start=1):
            writer.write(frame)
            progress("rendering", number, film.num_frames)
    ended = time.monotonic()
    return Summary(
        out=str(Path(options.out)),
        frames=film.num_frames,
        seconds=film.num_frames / FRAME_RATE,
        fps=FRAME_RATE,
        offset=film.offset,
        size=film.side_px,
        seed=options.seed,
        took_s=round(ended - started, 3),
        rendered_per_s=round(film.num_frames / max(ended - began, 1e-9), 2),
        runtime=talker.runtime.description,
        weights=talker.name,
        digest=talker.digest,
        notes=film.notes,
    )


def write_report(film: Film, path: Path) -> None:
    """Writes what was seen in each frame of the pose films.

    Raises:
        OutputError: It cannot be written.
    """
    fields = {"format": "pcavs-faces-1", "films": [face.to_json() for face in film.faces]}
    try:
        path.write_text(json.dumps(fields, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place") from error
