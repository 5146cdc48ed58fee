"""Implements `pcavs animate`: makes one film from files and writes it."""

import dataclasses
import logging
import time
from pathlib import Path
from typing import Final

from pcavs.animate.backdrop import TRANSPARENT
from pcavs.animate.film import Film, open_writer
from pcavs.animate.inputs import input_files
from pcavs.animate.load import load_talker
from pcavs.animate.options import AnimateOptions
from pcavs.animate.preview import preview_files, write_preview
from pcavs.animate.say import with_driving_audio
from pcavs.animate.talker import Talker
from pcavs.media.files import output_place, refuse_replacing, write_json
from pcavs.spec import FRAME_RATE
from pcavs.types import Progress
from pcavs.weights.locate import weight_files

logger = logging.getLogger(__name__)

_MIN_DURATION_S: Final = 1e-9
"""Smallest duration that a number of frames is divided by; it keeps a division from 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """Facts about a finished film; `--json` prints them."""

    out: str
    """Path of the film."""
    frames: int
    """Number of frames."""
    seconds: float
    """Length of the film."""
    fps: int
    """Frames a second."""
    offset: int
    """Frames by which the picture is ahead of the sound: 0, or 2 with `--compat published`."""
    size: int
    """Side of the rendered crop in pixels; the film itself is larger with `--full-frame`."""
    seed: int
    """Seed of the blinks."""
    took_s: float
    """Seconds from the start of the command to the finished file."""
    rendered_per_s: float
    """Frames rendered and written per second, without the time for loading weights and reading inputs."""
    runtime: str
    """Library, device and arithmetic."""
    weights: str
    """Name of the weights."""
    digest: str
    """SHA-256 of the weights."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""

    def line(self) -> str:
        """Returns the summary as a sentence."""
        film = f"{self.frames} frames, {self.seconds:.2f} s at {self.fps} fps, {self.size} px, offset {self.offset}"
        return f"{self.out}: {film}; made in {self.took_s:.1f} s ({self.rendered_per_s:.1f} frames a second)"


def run(options: AnimateOptions, progress: Progress) -> Summary:
    """Loads a talker and makes one film.

    Raises:
        PcavsError: A file, a setting or the weights cannot be used, or the film cannot be written.
    """
    started = time.monotonic()
    with with_driving_audio(options) as resolved:
        summary = make_film(load_talker(resolved.weights, resolved.device, resolved.workers or 0), resolved, progress)
    return dataclasses.replace(summary, took_s=round(time.monotonic() - started, 3))


def make_film(talker: Talker, options: AnimateOptions, progress: Progress) -> Summary:
    """Makes one film with a loaded talker; the file appears complete or not at all.

    Whether the film can be written is checked before anything is computed.

    Args:
        talker: The loaded talker.
        options: Settings; `audio` or `dialogue` is set (`with_driving_audio`).
        progress: Called while pose videos are read and while frames are rendered.

    Raises:
        PcavsError: A file or a setting cannot be used, or the film cannot be written.
    """
    started = time.monotonic()
    _check_outputs(options)
    sound, tags = talker.sound(options), talker.tags(options)
    is_transparent = options.background == TRANSPARENT
    with open_writer(
        options.out, None, sound, tags, talker.origin(options), options.overwrite, alpha=is_transparent
    ) as writer:
        film = talker.film(options, progress, sound)
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
        rendered_per_s=round(film.num_frames / max(ended - began, _MIN_DURATION_S), 2),
        runtime=talker.runtime.description,
        weights=talker.name,
        digest=talker.digest,
        notes=film.notes,
    )


def _check_outputs(options: AnimateOptions) -> None:
    """Refuses places that cannot be written, and outputs that are inputs.

    Raises:
        PcavsError: There is such an output, or a timeline cannot be read.
    """
    places = [each for each in (options.out, options.report, options.log) if each is not None]
    for place in places:
        output_place(place)
    previews = preview_files(options.out) if options.preview else ()
    weights = (
        [] if options.weights is None else [("a file of the weights", path) for path in weight_files(options.weights)]
    )
    refuse_replacing([*places, *previews], [*input_files(options), *weights])


def write_report(film: Film, path: Path) -> None:
    """Writes, as JSON, in which frames of the pose videos a face was found (docs/formats.md).

    Raises:
        OutputError: The file cannot be written.
    """
    write_json(path, {"format": "pcavs-faces-1", "videos": [face.to_json() for face in film.faces]})
