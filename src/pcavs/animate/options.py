"""Options of `pcavs animate` and `pcavs batch`; `Talker.animate` takes the same settings as keyword arguments."""

import dataclasses
from pathlib import Path
from typing import Final, Literal, get_args

from pcavs.errors import InputError, unknown_word
from pcavs.media.names import is_word
from pcavs.pose.expression import parse_gaze
from pcavs.spec import Missing, Seconds

Device = Literal["auto", "cpu", "cuda"]
"""Where the networks run; `AnimateOptions.device` describes the values."""
Compat = Literal["published"]
"""Whose behaviour is reproduced; `FilmOptions.compat` describes it."""
Marks = Literal["none", "audio", "all"]
"""Which marks a film carries; `FilmOptions.marks` describes the values."""
Corner = Literal["bottom-right", "bottom-left", "top-right", "top-left"]
"""Where the visible label is."""
Turn = Literal["depth", "network"]
"""What turns the head; `FilmOptions.turn` describes the values."""
LookAt = Literal["head", "camera"]
"""What the eyes hold on to; `FilmOptions.look` describes the values."""

SPEECH: Final = "speech"
"""Value of `eyes`, `brows` and `mouth`: generated from, or driven by, the speech."""
PHOTO: Final = "photo"
"""Value of `eyes` and `brows`: as in the photograph."""
FACE_WORDS: Final = {"eyes": (SPEECH, PHOTO), "brows": (SPEECH, PHOTO), "mouth": (SPEECH,)}
"""What these settings can be besides a film."""
LABEL: Final = "AI-generated"
"""Text of the visible label, if no other is given."""
GATE_DB: Final = (-90.0, -10.0)
"""Lowest and highest gate, in dB relative to the level of the speech. Tuned by hand; not measured."""
ARTICULATION: Final = (0.4, 1.6)
"""Smallest and largest articulation. From about 1.6 on lips no longer meet (docs/decisions/0011)."""
SMILE: Final = (-0.5, 1.0)
"""Smallest and largest smile."""
MAX_SIDE_PX: Final = (256, 8192)
"""Smallest and largest limit of the longer side of whole pictures, in pixels."""
_NOT_IN_DIALOGUES: Final = (
    "audio",
    "face",
    "references",
    "background",
    "loop",
    "size",
    "start",
    "end",
    "audio_stream",
    "compat",
)
"""Settings that a film with a dialogue does not have."""
WORKERS: Final = (1, 64)
"""Smallest and largest number of frames that are rendered at the same time. Tuned by hand; not measured."""
SIDE_PX: Final = (32, 2048)
"""Smallest and largest side of a film, in pixels. Tuned by hand; not measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """Settings of one film, checked when the record is made.

    Raises:
        InputError: A setting cannot be used; the message names it and what can be used.
    """

    identity: Path
    """Picture of the person (JPEG, PNG, HEIC, ...), or a video, of which the first frame is taken."""
    audio: Path | None = None
    """Driving audio: any file with sound, or a pipe (- is standard input). The film carries it, with its own rate and
    channels."""
    pose: Path | None = None
    """Head motion: a video to follow; a timeline (.json) or saved track (.npz); a preset (natural, still,
    listening-nod, lively, slow-turn, presenter); or degrees, such as yaw=20,pitch=-5. What is shorter than the speech
    is played forwards and backwards. Without it the head keeps the pose that it has in the picture."""
    dialogue: Path | None = None
    """Several people in one picture who speak in turn: a list of lines and people (.json), in place of driving audio.
    The film shows the whole picture, and its sound is the mix of all voices."""
    performance: Path | None = None
    """A film of anybody, or its saved track (.npz), that lends head, eyes, brows and smile; its sound is spoken
    if there is no other. `pose`, `eyes`, `brows` and `mouth` replace parts of it."""
    eyes: str | None = None
    """Lids and gaze: those of a film or saved track, `speech` (blinks and glances, generated), or `photo` (open and
    still)."""
    brows: str | None = None
    """Brows and smile: those of a film or saved track, `speech` (brows rise on emphasis, generated), or `photo`."""
    mouth: str | None = None
    """What moves the mouth: `speech`, or a film, whose mouth is followed as it is seen. The sound is still that of
    `audio`."""
    relative: bool = False
    """Starts from the picture's own pose and takes only the changes of the pose source."""
    references: tuple[Path, ...] = ()
    """More pictures of the same person, in any order. The most typical of the sharp, frontal ones is animated."""
    turn: Turn = "depth"
    """How the head turns: `depth` turns the photograph by the depth of its landmarks, `network` lets the talker's
    network turn it. `paper` talkers always use their network."""
    face: str = "largest"
    """Which face to animate if the picture shows several: largest, left, right, a number counted from the left (the
    first is 0), or a picture of the person."""
    outside: bool = False
    """Lets a timeline name files outside of its own folder."""
    pose_face: str = "largest"
    """Which face to follow if a pose video shows several; values as for `face`."""
    gaze: str | None = None
    """Where the eyes look, in degrees away from where they look in the picture: to the picture's right, then up, such
    as 10,-5 or yaw=-10,pitch=5; up to 35 and 25 degrees."""
    look: LookAt = "head"
    """What the eyes hold on to while the head turns: `head` turns them with the head, `camera` keeps them where they
    look in the picture."""
    smile: float = 0.0
    """How far the corners of the mouth are drawn out and up, and the cheeks with them, -0.5 (down) to 1."""
    missing: Missing = "interpolate"
    """Frames of a pose video in which no face is found: interpolate the pose, hold the last pose, skip the frames, or
    fail."""
    background: str | None = None
    """What is behind the person instead of the picture's own background: a colour (white, #204060), a picture, or
    `transparent` (.webm, .mov or .webp)."""
    full_frame: bool = False
    """Pastes the talking head into the whole picture. If the identity is a video, that video is dubbed."""
    loop: bool = False
    """Repeats a video that is dubbed if it is shorter than the speech."""
    max_side: int = 4096
    """With full_frame, the longer side of the film in pixels, 256 to 8192, to which larger pictures are reduced. Many
    players show no more than 4096."""
    gate: float | None = None
    """Level in dB, against the speech's own, below which sound counts as silence and does not move the mouth; -90
    to -10, such as -30. Without it all sound counts."""
    articulation: float = 1.0
    """How far speech moves the lips, 0.4 to 1.6. Use more than 1 for calm voices, which open the mouth too little."""
    size: int | None = None
    """Side of the film in pixels, even, 32 to 2048. Without it, the size that the weights were made for."""
    start: Seconds = 0.0
    """Start of the part of the driving audio to use, in seconds or as 1:02.5."""
    end: Seconds | None = None
    """End of the part of the driving audio to use, in seconds or as 1:02.5. Without it, the end of the audio."""
    audio_stream: int | None = None
    """Which stream of the driving audio is heard if the file has several, counted from 0. Without it, the one that is
    marked default, or else the first."""
    no_blinks: bool = False
    """Keeps the eyes open. Otherwise they blink, if the head turns by depth."""
    seed: int = 0
    """Seed of the blinks. Equal settings and seeds give equal films."""
    workers: int | None = None
    """Frames that are rendered at the same time, 1 to 64; films do not depend on it. Without it, one for each
    processor, up to 8."""
    compat: Compat | None = None
    """`published` reproduces the timing and alignment of the published code, defects included: the picture is 80 ms
    early and frames are missing. For `paper` talkers only."""
    marks: Marks = "all"
    """Inaudible marks that say that the film is synthetic and survive re-encoding: `all`, those in `audio`, or
    `none` (docs/provenance.md)."""
    label: str | None = dataclasses.field(default=None, metadata={"alone": LABEL})
    """Visible label on every frame: `AI-generated`, or another text if one follows."""
    label_corner: Corner = "bottom-right"
    """Corner of the frame that the label is in."""
    label_font: Path | None = None
    """Font of the label (.ttf, .otf). Without it, one for ASCII characters only."""
    sign_with: tuple[Path, Path] | None = None
    """Certificate chain and private key, both PEM, to sign the film with. Without them, your own key signs, which is
    made at first use."""
    tsa: str | None = None
    """Address of a time stamp authority, which confirms when the film was signed. Without it, no network is used."""
    consent: Path | None = None
    """Record of the person's consent, as text or JSON, whose digest goes into the signed credentials."""
    log: Path | None = None
    """Log to which digests and fingerprints of the film are appended, for `pcavs verify --log`."""

    def __post_init__(self) -> None:
        """Checks every setting."""
        if self.size is not None and (self.size % 2 or not SIDE_PX[0] <= self.size <= SIDE_PX[1]):
            raise InputError(
                f"a size of {self.size} cannot be used; give an even number from {SIDE_PX[0]} to {SIDE_PX[1]}"
            )
        if self.full_frame and (self.size is not None or self.compat):
            other = "compat" if self.compat else "size"
            raise InputError(f"full_frame takes size and place from the picture; leave {other} out")
        self._check_dialogue()
        self._check_background()
        self._check_numbers()
        if self.loop and not self.full_frame:
            raise InputError("loop repeats a video that is dubbed; add full_frame, or leave loop out")
        if self.full_frame and self.references:
            raise InputError("full_frame pastes the head into one picture; leave the references out")
        if self.articulation != 1 and self.compat:
            raise InputError("compat published has no articulation; leave articulation out")
        _check_choice("missing", self.missing, get_args(Missing))
        self._check_face()
        _check_choice("turn", self.turn, get_args(Turn))
        _check_choice("marks", self.marks, get_args(Marks))
        _check_choice("label_corner", self.label_corner, get_args(Corner))
        if self.label is not None and not (self.label.strip() and self.label.isprintable()):
            raise InputError("a label must be one line of text that is not empty; give such a text, or leave label out")
        if self.compat not in (None, *get_args(Compat)):
            raise InputError(f"a compat of {self.compat} cannot be used; give published, or leave it out")

    def _check_dialogue(self) -> None:
        if self.dialogue is None:
            return
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in _NOT_IN_DIALOGUES:
            if getattr(self, name) != defaults[name]:
                raise InputError(f"a dialogue has faces and sound of its own, in a whole picture; leave {name} out")

    def _check_numbers(self) -> None:
        if not MAX_SIDE_PX[0] <= self.max_side <= MAX_SIDE_PX[1]:
            limits = f"{MAX_SIDE_PX[0]} to {MAX_SIDE_PX[1]}"
            raise InputError(f"a max_side of {self.max_side} cannot be used; give {limits}")
        if self.gate is not None and not GATE_DB[0] <= self.gate <= GATE_DB[1]:
            raise InputError(f"a gate of {self.gate:g} dB cannot be used; give {GATE_DB[0]:g} to {GATE_DB[1]:g}")
        if not ARTICULATION[0] <= self.articulation <= ARTICULATION[1]:
            limits = f"{ARTICULATION[0]:g} to {ARTICULATION[1]:g}"
            raise InputError(f"an articulation of {self.articulation:g} cannot be used; give {limits}")
        if self.workers is not None and not WORKERS[0] <= self.workers <= WORKERS[1]:
            raise InputError(f"{self.workers} workers cannot be used; give {WORKERS[0]} to {WORKERS[1]}")
        if self.seed < 0:
            raise InputError(f"a seed of {self.seed} cannot be used; give 0 or more")

    def _check_face(self) -> None:
        if self.gaze is not None:
            parse_gaze(self.gaze)
        _check_choice("look", self.look, get_args(LookAt))
        moved = self.gaze is not None or self.look != "head" or self.smile or self.performance is not None
        if (moved or self.eyes or self.brows) and (self.turn != "depth" or self.compat):
            other = "compat" if self.compat else f"a turn by the {self.turn}"
            raise InputError(f"{other} moves no eyes or cheeks; leave it, or gaze, look, smile, eyes and brows out")
        if self.mouth is not None and self.compat:
            raise InputError("compat published hears speech; leave mouth out")
        if not SMILE[0] <= self.smile <= SMILE[1]:
            raise InputError(f"a smile of {self.smile:g} cannot be used; give {SMILE[0]:g} to {SMILE[1]:g}")

    def _check_background(self) -> None:
        if self.background is None:
            return
        if not self.background.strip():
            raise InputError("the background is empty; give a colour, a picture or transparent")
        if self.full_frame:
            raise InputError("a background is put behind the head alone; leave full_frame or background out")
        if self.turn != "depth" or self.compat:
            other = "compat" if self.compat else f"a turn by the {self.turn}"
            raise InputError(f"{other} does not tell the person from the background; leave it or background out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnimateOptions(FilmOptions):
    """Makes a picture speak: takes a photograph and speech, writes a film."""

    out: Path
    """The film to write: .mp4, .mov, .mkv (H.264), .webm (VP9), or a silent animation, .gif or .webp. If the background
    is transparent: .webm (VP9), .mov (ProRes 4444) or .webp."""
    say: str | None = None
    """Text to speak instead of driving audio, with pauses such as [pause 0.5] if wanted; needs eSpeak NG."""
    voice: str = "en-us"
    """Voice of `say`: a natural voice's name; a language, which a natural voice speaks if there is one, else eSpeak NG;
    or a voice of eSpeak NG, such as en-gb+f3 or espeak:en-us. `pcavs voices` lists them."""
    voices: Path | None = None
    """Folder of natural voices; without it, $PCAVS_VOICES, or `voices` in your data folder."""
    report: Path | None = None
    """Also writes, as JSON, in which frames of the pose videos a face was found."""
    preview: bool = False
    """Also writes the first second and a contact sheet beside the film, before the film is rendered."""
    weights: Path | None = None
    """A .safetensors bundle, or a folder made by `pcavs weights export`. Without it, or as `default`, the talker in the
    package."""
    device: Device = "auto"
    """`cpu` runs OpenVINO, `cuda` runs torch; `auto` is `cpu`, unless only torch can run the weights."""
    overwrite: bool = False
    """Replaces a film that exists."""
    quiet: bool = False
    """Prints nothing but errors."""
    json: bool = False
    """Prints the summary as one JSON object, for programs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Makes many films with one loaded talker, from a list of jobs (.csv or .jsonl)."""

    jobs: Path
    """List of films, one per row. Columns or keys are the settings of `pcavs animate`, with _ for -; `out` and
    `identity` are required. File names are relative to the list, and lie below its folder unless `outside` is set."""
    weights: Path | None = None
    """As in `pcavs animate`; the same for all rows."""
    device: Device = "auto"
    """As in `pcavs animate`; the same for all rows."""
    journal: Path | None = None
    """JSON lines file with the outcome of each row; without it, beside the list. Rows that it records as done, and
    whose film exists, are skipped."""
    outside: bool = False
    """Lets rows name files outside of the list's folder, and their timelines outside of theirs."""
    again: bool = False
    """Makes all films again, finished ones included."""
    require_consent: bool = False
    """Refuses rows without a record of the person's consent (`consent`, a file)."""
    sign_with: tuple[Path, Path] | None = None
    """As in `pcavs animate`; the same for all rows."""
    tsa: str | None = None
    """As in `pcavs animate`; the same for all rows."""
    log: Path | None = None
    """As in `pcavs animate`; the same for all rows."""


def face_film(name: str, value: str | None) -> Path | None:
    """Returns the film that `eyes`, `brows` or `mouth` names; None for nothing, and for one of their words.

    Args:
        name: The setting.
        value: What it is.

    Raises:
        InputError: It is another word.
    """
    words = FACE_WORDS[name]
    if value is None or value in words:
        return None
    if is_word(Path(value)):
        files = "a film" if name == "mouth" else "a film or a saved track"
        raise InputError(f"{name}: {unknown_word(value, words, files, 'film or choice')}")
    return Path(value)


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        choices = " or ".join(known) if len(known) < 3 else ", ".join(known)
        raise InputError(f"a {name} of {value} cannot be used; give {choices}")
