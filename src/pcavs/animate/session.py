"""A live session: speech is pushed as it is spoken, and frames come out as soon as they can be made.

`Talker.session` opens one. Speech, gate, lips, blinks and head motion run through the code of films; what a film knows
of the whole speech, a session knows of the speech so far (docs/live.md). The pieces in which sound is pushed do not
change a pixel.
"""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.animate.backdrop import Backdrop
from pcavs.animate.compose.label import Label
from pcavs.animate.controls import Content, Controls
from pcavs.animate.identity import Identity
from pcavs.animate.live_gaze import LiveGaze
from pcavs.animate.live_head import LiveHead, check_duration, held, read_motion
from pcavs.animate.live_speech import SpeechSetup, Step, Utterance, Voice
from pcavs.animate.options import LookAt
from pcavs.animate.renderer import Renderer
from pcavs.animate.stepper import Stepper
from pcavs.errors import SessionError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.media.live import checked_samples
from pcavs.media.mixing import Channels
from pcavs.media.timeline import FRAME_S, nearest_index
from pcavs.numeric import smoothstep_at
from pcavs.pose.expression import GAZE_PITCH, LEFT_LID, ExpressionRow, parse_gaze
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.types import Cutout, Picture

_CLOSE_FRAMES: Final = 3
"""Frames in which the mouth comes to rest after an interruption: 120 ms."""
_OPEN_FRAMES: Final = 2
"""Frames in which the mouth leaves rest, or the utterance before, when an utterance begins. Chosen by eye."""
_EYES: Final = slice(LEFT_LID, GAZE_PITCH + 1)
"""Columns of lids and gaze."""
_PATIENCE_FRAMES: Final = 10
"""Idle frames in a row, 0.4 s, after which speech that stopped in mid-utterance counts as ended."""
_REST: Final = object()
"""Stands for idle frames where utterances are told apart."""


class Person(NamedTuple):
    """A photograph that was read, and what draws it; sessions may share it."""

    identity: Identity
    renderer: Renderer
    backdrop: Backdrop | None = None
    """What is behind the person; None is the photograph's own background."""


class FrameSound(NamedTuple):
    """The sound of one frame."""

    samples: Channels
    """Float32, channels x samples, full scale 1, as it was pushed (and marked); zeros while nothing is said."""
    rate_hz: int
    """Sampling rate of the speech that was pushed last; 16000 before any."""


class LiveFrame(NamedTuple):
    """One frame of a live session."""

    picture: Picture | Cutout
    """RGB, 0 to 255, side x side x 3; before a transparent background RGBA with straight alpha."""
    pts: Fraction
    """Time at which the frame is shown, in seconds since the session's first frame: n/25."""
    sound: FrameSound
    """The sound that is heard while the frame is shown, 40 ms long."""


class Session:
    """A live session; made by `Talker.session`. A context manager. Not thread-safe, but sessions do not disturb others.

    Push speech, and take frames whenever the next one is due:

        with talker.session("face.jpg") as session:
            session.push(samples, 24_000)
            for picture, pts, sound in session.frames(): ...

    Args:
        person: The person.
        speech: How speech is encoded.
        voice: What is known of the voice at first.
        silence: Content of silence.
        head: The head's motion.
        blinks: Eyelid closure of one frame after another; None keeps the eyes open.
        landmarker: The face networks, for `pose`.
        seed: Seed of head motion.
        label: Visible label of every frame; None for none.
    """

    def __init__(  # noqa: PLR0913 - its parts, already built
        self,
        *,
        person: Person,
        speech: SpeechSetup,
        voice: Voice,
        silence: Content,
        head: LiveHead,
        blinks: Iterator[float] | None,
        landmarker: FaceLandmarker,
        seed: int,
        label: Label | None = None,
    ) -> None:
        self.person: Final = person
        """The person; `Talker.session` takes it in place of the picture."""
        self._seed, self._landmarker = seed, landmarker
        self._stepper: Stepper | None = Stepper(person.renderer, backdrop=person.backdrop)
        self._speech, self._voice, self._head, self._blinks = speech, voice, head, blinks
        self._silence, self._label = silence, label
        self._mouth = _Mouth()
        self._gaze = LiveGaze(person.identity.own_deg)
        self._utterances: deque[Utterance] = deque()
        self._format = SAMPLE_RATE_HZ, 1
        self._num_frames = self._num_idle = 0
        self._is_ended = False

    @property
    def side_px(self) -> int:
        """Side of the square frames."""
        return self.person.identity.picture.shape[0]

    @property
    def look_ahead_s(self) -> float:
        """Sound after a frame's start, in seconds, that is heard before the frame is made."""
        return self._speech.ahead_frames / FRAME_RATE

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages about the photograph, one line each."""
        return self.person.identity.notes

    @property
    def num_frames(self) -> int:
        """Number of frames made so far, skipped ones included."""
        return self._num_frames

    @property
    def waiting_s(self) -> float:
        """Length of the speech, in seconds, that was pushed and not shown yet."""
        return float(sum(each.waiting_s for each in self._utterances))

    @property
    def is_ready(self) -> bool:
        """Whether `frames` would yield a frame now."""
        self._drop_shown()
        return bool(self._utterances) and self._utterances[0].is_ready

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called."""
        return self._is_ended

    def push(self, samples: np.ndarray, rate_hz: int) -> None:
        """Takes the next piece of speech, of any length.

        Args:
            samples: (samples,) or (channels, samples), with up to 8 channels, 16-bit integers or floats.
            rate_hz: Sampling rate, 8000 to 192000. Rate and number of channels stay the same until `flush` or `clear`.

        Raises:
            InputError: It is no such sound; the session goes on without it.
            SessionError: The session has ended, or the rate or number of channels changed within an utterance.
        """
        self._check_open()
        if self._is_ended:
            raise SessionError("the session has ended, so it takes no more speech; open another one")
        block = checked_samples(samples, rate_hz)
        if not block.shape[1]:
            return
        kind = int(rate_hz), len(block)
        if self._utterances and not self._utterances[-1].is_finished:
            last = self._utterances[-1]
            if (last.rate_hz, last.channels) != kind:
                raise SessionError(
                    f"the sound changed from {last.rate_hz} Hz ({last.channels} channels) to {kind[0]} Hz ({kind[1]}) "
                    "in mid-speech; call flush() first"
                )
        else:
            self._utterances.append(Utterance(self._speech, self._voice, *kind))
        self._utterances[-1].push(block)
        self._num_idle = 0

    def frames(self) -> Iterator[LiveFrame]:
        """Yields the frames that can be made of what was pushed; it stops where more speech is needed.

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        while self.is_ready:
            utterance = self._utterances[0]
            step, sound = utterance.step()
            content = self._mouth.next(step.content, utterance, _OPEN_FRAMES)
            self._num_idle = 0
            yield self._frame(step._replace(content=content), sound, utterance.rate_hz, utterance.channels)

    def skip(self) -> FrameSound | None:
        """Skips the next frame: returns its sound without drawing it, or None where more speech is needed.

        For players that are late: they lose a picture, and no sound.

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        if not self.is_ready:
            return None
        utterance = self._utterances[0]
        sound = utterance.skip()
        self._format = utterance.rate_hz, utterance.channels
        self._advance(0.0)
        return FrameSound(sound, utterance.rate_hz)

    def idle(self) -> LiveFrame:
        """Returns a frame in which nothing is said: the mouth rests, the head moves and the eyes blink.

        Speech that waits for its look-ahead goes on waiting. After 0.4 s of idle frames without a push it counts as
        ended (`flush`).

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        self._num_idle += 1
        if self._num_idle >= _PATIENCE_FRAMES:
            self.flush()
        rate_hz, channels = self._format
        length = nearest_index(self._pts(1), rate_hz) - nearest_index(self._pts(0), rate_hz)
        content = self._mouth.next(self._silence, _REST, _CLOSE_FRAMES)
        silence = np.zeros((channels, length), np.float32)
        return self._frame(Step(content, 0.0, 0.0), silence, rate_hz, channels)

    def flush(self) -> None:
        """Ends an utterance: the rest of it can be shown, filled with silence to a whole frame.

        What is pushed later is another utterance, which may have another sampling rate.

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        if self._utterances:
            self._utterances[-1].finish(exact=False)

    def clear(self) -> float:
        """Interrupts: drops all speech that was pushed and not shown; idle frames then close the mouth within 120 ms.

        Returns:
            Length of the speech that was dropped, in seconds.

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        dropped_s = self.waiting_s
        self._utterances.clear()
        return dropped_s

    def end(self) -> None:
        """Ends the speech: the rest of it can be shown, and no more may be pushed.

        An utterance that was not flushed then has as many frames as a film of its sound, the last of which takes the
        rest of the sound: up to 60 ms.

        Raises:
            SessionError: The session was closed.
        """
        self._check_open()
        if self._utterances:
            self._utterances[-1].finish(exact=True)
        self._is_ended = True

    def pose(
        self,
        pose: str | Path | np.ndarray | None = None,
        *,
        yaw: float | None = None,
        pitch: float | None = None,
        roll: float | None = None,
        over_s: float = 0.4,
    ) -> None:
        """Moves the head from now on; never faster than 75 degrees a second, nor farther than the photograph allows.

        Args:
            pose: A preset ("idle", "natural", "still", "listening-nod", "lively", "slow-turn", "presenter"); natural
                motion of a strength, 0 to 2, such as "natural=1.5"; angles such as "yaw=20,pitch=-5"; a saved track
                (.npz); a timeline (.json) of keyframes and tracks; rows of a head track, 25 a second; or None, which is
                the photograph's own pose if no angle is given either.
            yaw: Angle to hold, in degrees, 0 into the camera; None keeps the present one. For angles that a tracker
                streams, give each with an `over_s` of 0.04 to 0.1.
            pitch: The same.
            roll: The same.
            over_s: Time in which the head gets there, 0 to 10 s.

        Raises:
            InputError: It is none of these.
            SessionError: The session was closed.
        """
        self._check_open()
        check_duration(over_s)
        if pose is None and not (yaw is None and pitch is None and roll is None):
            self._head.move(held(self._head.angles, yaw, pitch, roll), over_s)
        else:
            self._head.move(read_motion(pose, self._seed, self._landmarker), over_s)

    def gaze(self, yaw: float, pitch: float, *, look: LookAt = "head", over_s: float = 0.04) -> None:
        """Turns the eyes from now on; a gaze tracker may call this for each frame.

        Args:
            yaw: Degrees away from where they look in the picture, above 0 to the picture's right; up to 35.
            pitch: The same, above 0 up; up to 25. The lids follow.
            look: "head" turns the eyes with the head; "camera" keeps them on the camera while the head turns.
            over_s: Time in which they get there, 0 to 10 s; glances take 0.04.

        Raises:
            InputError: An angle or the time cannot be used.
            SessionError: The session was closed, or its head is turned by the network, which moves no eyes.
        """
        self._check_open()
        check_duration(over_s)
        if not self._head.by_depth:
            raise SessionError("a turn by the network moves no eyes; open a session with turn='depth'")
        self._gaze.move(parse_gaze(f"{yaw},{pitch}"), look, over_s)

    def close(self) -> None:
        """Closes the session and frees what it holds; calls after the first do nothing."""
        self._utterances.clear()
        self._stepper = None
        self._is_ended = True

    def __enter__(self) -> "Session":
        """Returns the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the session."""
        self.close()

    def _check_open(self) -> Stepper:
        if self._stepper is None:
            raise SessionError("the session was closed; open another one")
        return self._stepper

    def _drop_shown(self) -> None:
        while self._utterances and self._utterances[0].is_over:
            self._utterances.popleft()

    def _pts(self, ahead: int) -> Fraction:
        return (self._num_frames + ahead) * FRAME_S

    def _frame(self, step: Step, sound: Channels, rate_hz: int, channels: int) -> LiveFrame:
        """Draws the next frame."""
        stepper, pts = self._check_open(), self._pts(0)
        self._format = rate_hz, channels
        pose, eyelids, expression = self._advance(step.rhythm)
        picture = stepper.draw(Controls(step.content, pose, eyelids, step.closing, expression))
        if self._label is not None:
            picture = self._label.blend(picture)
        return LiveFrame(picture, pts, FrameSound(sound, rate_hz))

    def _advance(self, rhythm: float) -> tuple[np.ndarray, float, ExpressionRow | None]:
        """Returns head pose, eyelid closure and expression of the next frame."""
        self._num_frames += 1
        pose = self._head.next(rhythm)
        blink = 0.0 if self._blinks is None else next(self._blinks)
        if self._blinks is not None and self._head.eyelids is not None:
            blink = self._head.eyelids
        face, gaze = self._head.face, self._gaze.next(pose)
        if face is not None and gaze is not None:
            # Eyes that are told where to look do not glance about.
            face = face.copy()
            face[_EYES] = gaze[_EYES]
        return pose, blink, gaze if face is None else face


class _Mouth:
    """Leads the mouth from utterance to rest, and from rest to the next utterance, without a jump."""

    def __init__(self) -> None:
        self._source: object = None
        self._shown: Content | None = None
        self._from: Content | None = None
        self._step = 0

    def next(self, content: Content, source: object, num_frames: int) -> Content:
        """Returns the content of the next frame.

        Args:
            content: What is said.
            source: Who says it; where that changes, the mouth changes over.
            num_frames: Frames in which it does.
        """
        if source is not self._source:
            self._source, self._from, self._step = source, self._shown, 0
        if self._from is not None:
            self._step += 1
            if self._step < num_frames:
                share = np.float32(smoothstep_at(self._step / num_frames))
                content = self._from + share * (content - self._from)
            else:
                self._from = None
        self._shown = content
        return content
