"""Options of `pcavs live`."""

import dataclasses
from pathlib import Path

from pcavs.animate.options import Device
from pcavs.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Shows a photograph on a page that speaks at once what you say, or what a file or a text says."""

    photo: Path
    """Picture of the person."""
    audio: Path | None = None
    """Sound file that is spoken when the page is first shown."""
    say: str | None = None
    """Text that is spoken instead; needs eSpeak NG."""
    voice: str = "en-us"
    """Voice of `say` and of texts on the page, as in `pcavs animate`."""
    voices: Path | None = None
    """As in `pcavs animate`."""
    pose: str = "idle"
    """Head motion: a preset, natural=1.5, degrees such as "yaw=20,pitch=-5", a saved track or a timeline."""
    face: str = "largest"
    """As in `pcavs animate`."""
    size: int | None = None
    """Side of the picture in pixels; without it, the size that the weights were made for."""
    background: str | None = None
    """A colour or a picture behind the person, as in `pcavs animate`."""
    articulation: float = 1.0
    """How far speech moves the lips, 0.4 to 1.6."""
    look_ahead: float = 0.28
    """Sound after a frame's start, in seconds, that is heard before the frame is made, 0.08 to 1. Less is sooner."""
    seed: int = 0
    """Seed of blinks and head motion."""
    label: str | None = dataclasses.field(default=None, metadata={"alone": "AI-generated"})
    """Text of a visible label; --label alone writes "AI-generated"."""
    weights: Path | None = None
    """As in `pcavs animate`."""
    device: Device = "auto"
    """As in `pcavs animate`."""
    host: str = "127.0.0.1"
    """Address to listen on, for the page and for the stream. Others than loopback let everyone who reaches this machine
    use the page."""
    port: int = 8010
    """Port of the page; 0 takes any free one."""
    open: bool = False
    """Opens the page in the browser."""

    def __post_init__(self) -> None:
        """Checks settings that the session does not check."""
        if self.audio is not None and self.say is not None:
            raise InputError("there is both audio and a text to say; give --audio FILE or --say TEXT")
        if not 0 <= self.port <= 65535:
            raise InputError(f"a port of {self.port} cannot be used; give 1 to 65535, or 0 for any free one")
        if self.background == "transparent":
            raise InputError("a stream has no transparency; give a colour that a mixer can key out, such as lime")
