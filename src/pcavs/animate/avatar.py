"""The asyncio face of a live session: push speech, iterate over frames that come at 25 a second.

`Talker.live` returns an `Avatar`. Its session lives in one thread of its own, so that rendering never blocks the event
loop.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict, TypeVar

import numpy as np

from pcavs.animate.live_speech import Loudness
from pcavs.animate.options import Corner, LookAt, Marks, Turn
from pcavs.animate.session import FrameSound, LiveFrame, Session
from pcavs.errors import InputError, SessionError
from pcavs.spec import FRAME_RATE
from pcavs.types import Cutout, Picture

_FRAME_S: Final = 1 / FRAME_RATE
_LARGEST_DELAY_S: Final = 2.0
"""Delay that is made up for by dropping pictures; after a longer one the clock is set back."""
_MOST_WAITING: Final = 250
"""Frames, 10 s, that wait for a consumer before the avatar waits for it as well."""
_PIECE_S: Final = 0.1
"""Longest piece of speech that is pushed at once: its work, 1.5 ms, must fit between two frames."""
_MOST_SPEECH_S: Final = 600.0
"""Longest speech that may wait to be shown; it bounds memory."""

_Result = TypeVar("_Result")


class SessionSettings(TypedDict, total=False):
    """Settings of a live session, which `Talker.session` describes."""

    pose: str | Path | np.ndarray | None
    face: str
    turn: Turn
    size: int | None
    background: str | None
    look_ahead: float
    loudness: Loudness
    articulation: float
    no_blinks: bool
    seed: int
    marks: Marks
    label: str | None
    label_corner: Corner
    label_font: str | Path | None


class AvatarFrame(NamedTuple):
    """One frame of an avatar."""

    picture: Picture | Cutout | None
    """RGB, 0 to 255, side x side x 3 (RGBA before a transparent background); None if it was dropped."""
    pts: Fraction
    """Time at which the frame is shown, in seconds since the first frame: n/25 without gaps."""
    sound: FrameSound
    """The sound that is heard while the frame is shown, 40 ms long; it is there for dropped pictures as well."""
    is_speech: bool
    """Whether the sound is speech that was pushed, rather than the silence of an idle frame."""
    num_dropped: int
    """Pictures that were dropped so far because the consumer or this machine was late."""


class Avatar:
    """A person who speaks what is pushed, for asyncio; made by `Talker.live`.

        async with talker.live("face.jpg") as avatar:
            await avatar.push_audio(pcm, 24_000)
            async for frame in avatar.run(): ...

    All methods belong to the event loop in which it was opened.

    Args:
        open_session: Opens the session; called in the avatar's thread.
        buffer_frames: Pictures that may wait for the consumer; older ones are dropped, and their sound is kept.

    Raises:
        InputError: `buffer_frames` is not 1 to 250.
    """

    def __init__(self, open_session: Callable[[], Session], *, buffer_frames: int = 3) -> None:
        if not 1 <= buffer_frames <= _MOST_WAITING:
            raise InputError(f"{buffer_frames} frames cannot be buffered; give 1 to {_MOST_WAITING}")
        self._open_session = open_session
        self._outbox = _Outbox(buffer_frames)
        self._worker: _Worker | None = None
        self._closed = asyncio.Event()
        self._generation = 0
        self._iteration = 0
        self._side_px = 0

    @property
    def side_px(self) -> int:
        """Side of the square frames; 0 before the avatar is open."""
        return self._side_px

    @property
    def num_dropped(self) -> int:
        """Pictures that were dropped so far because the consumer or this machine was late."""
        return self._outbox.num_dropped

    @property
    def waiting_s(self) -> float:
        """Length of the speech, in seconds, that was pushed and not rendered yet."""
        return 0.0 if self._worker is None else self._worker.waiting_s

    async def push_audio(
        self, sound: bytes | bytearray | memoryview | np.ndarray, rate_hz: int, channels: int = 1
    ) -> None:
        """Takes the next piece of speech, of any length; waits until the session has it.

        Args:
            sound: Bytes are 16-bit little-endian samples, interleaved; arrays are (samples,) or (channels, samples),
                16-bit integers or floats.
            rate_hz: Sampling rate, 8000 to 192000; it stays the same until `flush` or `interrupt`.
            channels: Number of channels of bytes.

        Raises:
            InputError: It is no such sound; the avatar goes on without it.
            SessionError: The avatar is closed, the speech has ended, the rate changed, or ten minutes wait already.
        """
        samples = np.atleast_1d(sound) if isinstance(sound, np.ndarray) else _samples(sound, channels)
        generation, length = self._generation, max(1, int(rate_hz * _PIECE_S))

        def push(session: Session, piece: np.ndarray) -> None:
            if generation != self._generation:
                return
            if session.waiting_s > _MOST_SPEECH_S:
                raise SessionError(f"{session.waiting_s:.0f} s of speech wait to be shown; push what follows later")
            session.push(piece, rate_hz)

        pieces = (samples[..., first : first + length] for first in range(0, max(1, samples.shape[-1]), length))
        await asyncio.gather(
            *(self._call(lambda session, piece=piece: push(session, piece)) for piece in pieces)  # in this order
        )

    async def flush(self) -> None:
        """Ends an utterance: the rest of it is shown, and the next one may have another rate."""
        await self._call(lambda session: session.flush())

    async def interrupt(self) -> float:
        """Drops all speech that was not shown yet; the mouth closes within 120 ms.

        Frames that the consumer has not taken become silent.

        Returns:
            Length of the speech that was dropped, in seconds.
        """
        self._generation += 1

        def clear(session: Session) -> float:
            self._outbox.mute()
            return session.clear()

        return await self._call(clear)

    async def pose(
        self,
        pose: str | Path | np.ndarray | None = None,
        *,
        yaw: float | None = None,
        pitch: float | None = None,
        roll: float | None = None,
        over_s: float = 0.4,
    ) -> None:
        """Moves the head, as `Session.pose` does."""
        await self._call(lambda session: session.pose(pose, yaw=yaw, pitch=pitch, roll=roll, over_s=over_s))

    async def gaze(self, yaw: float, pitch: float, *, look: LookAt = "head", over_s: float = 0.04) -> None:
        """Turns the eyes, as `Session.gaze` does."""
        await self._call(lambda session: session.gaze(yaw, pitch, look=look, over_s=over_s))

    async def end(self) -> None:
        """Ends the speech: the rest of it is shown, then `run` ends."""
        await self._call(lambda session: session.end())

    async def run(self) -> AsyncGenerator[AvatarFrame]:
        """Yields frames as they are due, 25 a second; idle ones while nothing is said.

        Time stands still while nobody iterates. A consumer that is late loses pictures (`AvatarFrame.picture` is None)
        and no sound. A loop over a later call takes over, and earlier ones end.

        Raises:
            SessionError: The avatar is not open.
        """
        worker = self._open_worker()
        self._iteration += 1
        own = self._iteration
        self._outbox.news.set()
        worker.start_clock()
        try:
            while own == self._iteration:
                self._outbox.news.clear()
                is_finished = self._outbox.is_finished
                while own == self._iteration and (frame := self._outbox.pop()) is not None:
                    worker.taken()
                    yield frame
                if is_finished:
                    return
                await self._outbox.news.wait()
        finally:
            if own == self._iteration:
                worker.stop_clock()

    async def close(self) -> None:
        """Ends the avatar and its thread; loops over `run` end. Calls after the first do nothing."""
        worker = self._worker
        if worker is None:
            return
        worker.stop()
        await self._closed.wait()
        worker.join()

    async def __aenter__(self) -> "Avatar":
        """Opens the session.

        Raises:
            InputError: The photograph or a setting cannot be used.
        """
        if self._worker is not None:
            raise SessionError("an avatar is opened once; make another one")
        self._worker = _Worker(self._open_session, self._outbox, asyncio.get_running_loop(), self._closed)
        self._worker.start()
        try:
            self._side_px = await self._call(lambda session: session.side_px)
        except asyncio.CancelledError:
            self._worker.stop()
            raise
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the avatar."""
        await self.close()

    async def _call(self, command: Callable[[Session], _Result]) -> _Result:
        """Runs a command in the avatar's thread."""
        return await self._open_worker().call(command)

    def _open_worker(self) -> "_Worker":
        if self._worker is None or self._worker.is_stopped:
            raise SessionError('the avatar is not open; use it within "async with talker.live(...) as avatar"')
        return self._worker


class _Outbox:
    """Frames on their way from the thread to the consumer. Pictures above a number are dropped, oldest first."""

    def __init__(self, buffer_frames: int) -> None:
        self._buffer_frames = buffer_frames
        self._lock = threading.Lock()
        self._frames: deque[AvatarFrame] = deque()
        self.news = asyncio.Event()
        """Set, in the event loop, after something changed."""
        self.num_dropped = 0
        self.is_finished = False
        """Whether no more frames come."""
        self.error: BaseException | None = None
        """What ended the frames, if it was an error."""

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: LiveFrame, *, is_speech: bool) -> None:
        with self._lock:
            self._frames.append(AvatarFrame(*frame, is_speech, 0))
            drawn = [place for place, each in enumerate(self._frames) if each.picture is not None]
            for place in drawn[: -self._buffer_frames]:
                self._frames[place] = self._frames[place]._replace(picture=None)
                self.num_dropped += 1

    def put_sound(self, sound: FrameSound, pts: Fraction) -> None:
        """Takes a frame that was not drawn."""
        with self._lock:
            self._frames.append(AvatarFrame(None, pts, sound, is_speech=True, num_dropped=0))
            self.num_dropped += 1

    def mute(self) -> None:
        """Replaces sound that was not taken by silence."""
        with self._lock:
            for place, frame in enumerate(self._frames):
                silence = frame.sound._replace(samples=np.zeros_like(frame.sound.samples))
                self._frames[place] = frame._replace(sound=silence, is_speech=False)

    def pop(self) -> AvatarFrame | None:
        """Returns the next frame; None where there is none.

        Raises:
            BaseException: What ended the frames.
        """
        with self._lock:
            if self._frames:
                return self._frames.popleft()._replace(num_dropped=self.num_dropped)
        if self.error is not None:
            raise self.error
        return None


class _Worker(threading.Thread):
    """The thread in which a session lives: it runs commands, and makes a frame whenever one is due."""

    def __init__(
        self,
        open_session: Callable[[], Session],
        outbox: _Outbox,
        loop: asyncio.AbstractEventLoop,
        closed: asyncio.Event,
    ) -> None:
        super().__init__(name="pcavs avatar", daemon=True)
        self._open_session, self._outbox, self._loop, self._closed = open_session, outbox, loop, closed
        self._commands: queue.SimpleQueue[Callable[[Session], None]] = queue.SimpleQueue()
        self._pending: set[asyncio.Future[Any]] = set()
        self._due_s: float | None = None
        """When the next frame is due, on the monotonic clock; None while the clock stands still."""
        self.waiting_s = 0.0
        self.is_stopped = False
        self._error: BaseException | None = None

    # Called in the event loop.

    async def call(self, command: Callable[[Session], _Result]) -> _Result:
        """Runs a command in the thread, after those before it."""
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._pending.add(future)

        def run(session: Session) -> None:
            try:
                result = command(session)
                self.waiting_s = session.waiting_s
            except Exception as error:  # noqa: BLE001 - raised again where the command was given
                self._tell(lambda error=error: future.done() or future.set_exception(error))
            else:
                self._tell(lambda: future.done() or future.set_result(result))

        self._commands.put(run)
        try:
            return await future
        finally:
            self._pending.discard(future)

    def start_clock(self) -> None:
        self._commands.put(lambda _: self._set_clock(time.monotonic()))

    def stop_clock(self) -> None:
        self._commands.put(lambda _: self._set_clock(None))

    def taken(self) -> None:
        """Wakes a thread that waits for the consumer."""
        if len(self._outbox) == _MOST_WAITING - 1:
            self._commands.put(lambda _: None)

    def stop(self) -> None:
        self.is_stopped = True
        self._commands.put(lambda _: None)

    # Called in the thread.

    def run(self) -> None:
        try:
            with self._open_session() as session:
                while not self.is_stopped:
                    self._step(session)
        except Exception as error:  # noqa: BLE001 - raised again in the event loop
            self._error = error
        self.is_stopped = True
        self._tell(self._finish)

    def _step(self, session: Session) -> None:
        """Makes a frame if one is due, then runs a command, for which it waits until the next frame."""
        wait_s = None if self._due_s is None else max(0.0, self._due_s - time.monotonic())
        if len(self._outbox) >= _MOST_WAITING:
            wait_s = None
        if wait_s == 0.0:
            self._make_frame(session)
        with contextlib.suppress(queue.Empty):
            self._commands.get(block=wait_s != 0.0, timeout=wait_s)(session)
        self.waiting_s = session.waiting_s

    def _make_frame(self, session: Session) -> None:
        assert self._due_s is not None
        now = time.monotonic()
        late_s = now - self._due_s
        pts = Fraction(session.num_frames, FRAME_RATE)
        if late_s > _LARGEST_DELAY_S or (late_s > _FRAME_S and not session.is_ready):
            self._due_s, late_s = now, 0.0
        self._due_s += _FRAME_S
        if session.is_ready and late_s > _FRAME_S:
            sound = session.skip()
            assert sound is not None
            self._outbox.put_sound(sound, pts)
        elif session.is_ready:
            self._outbox.put(next(session.frames()), is_speech=True)
        elif session.is_ended:
            self._due_s, self._outbox.is_finished = None, True
        else:
            self._outbox.put(session.idle(), is_speech=False)
        self._tell(self._outbox.news.set)

    def _set_clock(self, due_s: float | None) -> None:
        self._due_s = due_s

    def _tell(self, callback: Callable[[], object]) -> None:
        """Calls something in the event loop; an event loop that was closed ends the thread."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            self.is_stopped = True

    def _finish(self) -> None:
        """Tells everybody who waits that the thread has ended; called in the event loop."""
        self._outbox.error = self._error
        self._outbox.is_finished = True
        self._outbox.news.set()
        self._closed.set()
        for future in self._pending:
            if not future.done():
                future.set_exception(self._error or SessionError("the avatar was closed"))


def _samples(sound: bytes | bytearray | memoryview, channels: int) -> np.ndarray:
    """Converts interleaved 16-bit samples to channels x samples."""
    num_bytes = memoryview(sound).nbytes
    if channels < 1 or num_bytes % (2 * channels):
        raise InputError(
            f"{num_bytes} bytes are no whole number of 16-bit samples of {channels} channels; push whole samples"
        )
    return np.frombuffer(sound, "<i2").astype(np.int16).reshape(-1, channels).T
