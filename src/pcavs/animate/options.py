"""Options of one film: shared by the command line and the Python call."""

import dataclasses
from pathlib import Path
from typing import Literal, get_args

from pcavs.errors import InputError
from pcavs.spec import Missing

Device = Literal["auto", "cpu", "cuda"]
Compat = Literal["published"]
Turn = Literal["depth", "network"]

QUIETEST_GATE_DB, LOUDEST_GATE_DB = -90.0, -10.0
LEAST_ARTICULATION, MOST_ARTICULATION = 0.4, 1.6

LEAST_SIDE_PX = 32
MOST_SIDE_PX = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """What is to be seen and heard."""

    identity: Path
    """Picture of the person to animate (PNG, JPEG, WebP), or a film, of which the first frame is taken."""
    audio: Path | None = None
    """Driving audio: any file with sound. It becomes the film's sound, at its own rate and channels."""
    pose: Path | None = None
    """Where the head goes: a film whose head motion is borrowed, to and fro where it is shorter than the speech;
    a timeline (.json) or a saved track (.npz); a preset (still, listening-nod, lively, slow-turn, presenter); or
    degrees, such as yaw=20,pitch=-5. Without it the head stays as it is in the identity picture."""
    relative: bool = False
    """Begins with the picture's own pose and lets the head move from there."""
    references: tuple[Path, ...] = ()
    """More pictures of the same person. The sharpest frontal one is animated; their order means nothing."""
    turn: Turn = "depth"
    """Who turns the head of a `flow` talker's film: `solid` turns the photograph's head by the depth of its landmarks,
    `learned` leaves it to the talker."""
    face: str = "largest"
    """Whom to animate where the identity shows several: largest, left, right, a number from the left (0 is the
    first), or a picture of the person."""
    pose_face: str = "largest"
    """Whose motion to borrow where a pose film shows several; as `face`."""
    missing: Missing = "interpolate"
    """What to do about frames of a pose film in which no face is seen: interpolate, hold the last pose, skip them,
    or fail."""
    full_frame: bool = False
    """Puts the talking head back into the whole picture; where the identity is a film, that is dubbed."""
    gate: float | None = None
    """Level in dB, against the speech's own, below which sound is taken for silence, so that noise does not move the
    mouth; such as -30."""
    articulation: float = 1.0
    """How distinctly the mouth speaks, from 0.4 (it mumbles) to 1.6: how far speech takes the lips away from silence.
    More helps calm voices, which open little."""
    size: int | None = None
    """Side of the film in pixels, even; without it, as the weights' spec says."""
    start: float = 0.0
    """Where in the driving audio to begin, in seconds."""
    end: float | None = None
    """Where in the driving audio to stop, in seconds; without it, at its end."""
    no_blinks: bool = False
    """Keeps the eyes open. Otherwise they blink, where heads turn as solids."""
    seed: int = 0
    """Says when the eyes blink; noted in the film. The talkers draw no random numbers."""
    compat: Compat | None = None
    """`published` repeats the published code's timing and alignment, defects included, to compare with it: the
    picture is 80 ms early and lacks frames. For `paper` talkers only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnimateOptions(FilmOptions):
    """Makes a picture speak: identity and voice in, a talking film out."""

    out: Path
    """The film to write, an .mp4."""
    say: str | None = None
    """A text to speak, instead of driving audio; needs eSpeak NG."""
    voice: str = "en-us"
    """Who says it: one of eSpeak NG's voices, with a variant if wanted, such as en-gb+f3."""
    report: Path | None = None
    """Writes what was seen in each frame of the pose films, as JSON."""
    preview: bool = False
    """Makes the first second and a contact sheet before the whole film, beside it."""
    weights: Path | None = None
    """A .safetensors bundle, or a folder made by `pcavs weights export`; without it, the talker that ships."""
    device: Device = "auto"
    """`cpu` runs OpenVINO, `cuda` runs torch; `auto` is `cpu` unless only torch can run the weights."""
    overwrite: bool = False
    """Replaces a film that is there already."""
    quiet: bool = False
    """Prints nothing but errors."""
    json: bool = False
    """Prints the summary as one JSON object, for programs."""


def verify(options: FilmOptions) -> None:
    """Refuses settings that no film can have.

    Raises:
        InputError: In one line, the setting and what would do.
    """
    size = options.size
    if size is not None and (size % 2 or not LEAST_SIDE_PX <= size <= MOST_SIDE_PX):
        raise InputError(f"a size of {size} cannot be used; give an even number from {LEAST_SIDE_PX} to {MOST_SIDE_PX}")
    if options.compat not in (None, *get_args(Compat)):
        raise InputError(f"a compat of {options.compat} cannot be used; give published, or leave it out")
    if options.full_frame and (size is not None or options.compat):
        other = "compat" if options.compat else "size"
        raise InputError(f"full_frame takes its size and place from the picture; leave {other} out")
    gate = options.gate
    if gate is not None and not QUIETEST_GATE_DB <= gate <= LOUDEST_GATE_DB:
        raise InputError(f"a gate of {gate:g} dB cannot be used; give {QUIETEST_GATE_DB:g} to {LOUDEST_GATE_DB:g}")
    if not LEAST_ARTICULATION <= options.articulation <= MOST_ARTICULATION:
        limits = f"{LEAST_ARTICULATION:g} to {MOST_ARTICULATION:g}"
        raise InputError(f"an articulation of {options.articulation:g} cannot be used; give {limits}")
    if options.articulation != 1 and options.compat:
        raise InputError("compat published speaks as the published code does; leave articulation out")
    if options.missing not in get_args(Missing):
        raise InputError(f"a missing of {options.missing} cannot be used; give {', '.join(get_args(Missing))}")
    if options.turn not in get_args(Turn):
        raise InputError(f"a turn of {options.turn} cannot be used; give {' or '.join(get_args(Turn))}")
    if options.seed < 0:
        raise InputError(f"a seed of {options.seed} cannot be used; give 0 or more")
