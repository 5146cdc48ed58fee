"""Shows one avatar to all who watch the page, and lets each of them speak through it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from pcavs.animate.avatar import Avatar, AvatarFrame
from pcavs.live.speech import RATE_HZ, VoiceGate
from pcavs.spec import FRAME_RATE
from pcavs.types import Waveform

_VIDEO_HZ: Final = 90_000
"""Clock of RTP video."""
_PACKET_SAMPLES: Final = RATE_HZ // 50
"""Samples of a packet of sound, 20 ms, of which a frame has two."""
_MOST_PICTURES: Final = 3
"""Pictures that wait for a watcher's encoder; older ones are dropped."""
_FPS_FRAMES: Final = 50
"""Frames over which the frame rate is measured: 2 s."""
_BARGE_IN_S: Final = 1.0
"""Waiting speech from which the microphone interrupts."""


class _Track(MediaStreamTrack):
    """Frames for one watcher, in order."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._frames: deque[Any] = deque()
        self._news = asyncio.Event()

    def put(self, frame: Any) -> None:
        """Appends a frame."""
        self._frames.append(frame)
        self._news.set()

    def thin(self, most: int) -> int:
        """Drops the oldest frames above a number, and returns how many."""
        surplus = max(0, len(self._frames) - most)
        for _ in range(surplus):
            self._frames.popleft()
        return surplus

    async def recv(self) -> Any:
        """Returns the next frame."""
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        """Ends the track."""
        super().stop()
        self._news.set()


class Watcher:
    """One who watches: a track of pictures and one of sound."""

    def __init__(self) -> None:
        self.pictures, self.sound = _Track("video"), _Track("audio")
        self._first: Fraction | None = None

    def show(self, frame: AvatarFrame, picture: VideoFrame | None) -> int:
        """Takes the next frame, and returns how many pictures were dropped."""
        if self._first is None:
            self._first = frame.pts
        pts = frame.pts - self._first
        if picture is not None:
            own = VideoFrame.from_ndarray(picture.to_ndarray(), format=picture.format.name)
            own.pts, own.time_base = int(pts * _VIDEO_HZ), Fraction(1, _VIDEO_HZ)
            self.pictures.put(own)
        for number, block in enumerate(_packets(frame)):
            packet = AudioFrame.from_ndarray(block, format="s16", layout="mono")
            packet.sample_rate, packet.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            packet.pts = int(pts * RATE_HZ) + number * _PACKET_SAMPLES
            self.sound.put(packet)
        return self.pictures.thin(_MOST_PICTURES)

    def leave(self) -> None:
        """Ends both tracks."""
        self.pictures.stop()
        self.sound.stop()


class Stage:
    """Shows an open avatar to watchers, and measures how well. Nothing is rendered while nobody watches.

    Args:
        avatar: The avatar.
    """

    def __init__(self, avatar: Avatar) -> None:
        self._avatar = avatar
        self._watchers: set[Watcher] = set()
        self._audience = asyncio.Event()
        self._times: deque[float] = deque(maxlen=_FPS_FRAMES)
        self._num_dropped = 0
        self._heard_s: float | None = None
        self._latency_s: float | None = None
        self._is_speaking = False

    def join(self) -> Watcher:
        """Returns a new watcher."""
        watcher = Watcher()
        self._watchers.add(watcher)
        self._audience.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Removes a watcher."""
        self._watchers.discard(watcher)
        watcher.leave()
        if not self._watchers:
            self._audience.clear()
            self._times.clear()

    async def run(self) -> None:
        """Shows frames until it is cancelled."""
        while True:
            await self._audience.wait()
            async for frame in self._avatar.run():
                self._show(frame)
                if not self._watchers:
                    break

    async def say(self, sound: Waveform) -> None:
        """Speaks an utterance after those that wait."""
        await self._push(sound)
        await self._avatar.flush()

    async def listen(self, microphone: Callable[[], Any]) -> None:
        """Speaks what a microphone hears, until it ends.

        Args:
            microphone: Coroutine function that returns its next PyAV frame: 16-bit, interleaved, at 48 kHz.
        """
        gate = VoiceGate()
        while True:
            try:
                frame = await microphone()
            except MediaStreamError:
                return
            block = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1) / 32768
            was_open = gate.is_open
            sound, is_over = gate.next(block.astype(np.float32))
            if gate.is_open and not was_open and self._avatar.waiting_s > _BARGE_IN_S:
                await self.interrupt()
            if len(sound):
                await self._push(sound)
            if is_over:
                await self._avatar.flush()

    async def interrupt(self) -> float:
        """Ends what is said; returns how many seconds of speech were dropped."""
        self._heard_s = None
        return await self._avatar.interrupt()

    def status(self) -> dict[str, float | int | bool | None]:
        """Returns how well it goes: frame rate, latency from sound in to frame out, dropped pictures."""
        times = self._times
        is_measured = len(times) > 1 and times[-1] > times[0]
        return {
            "fps": round((len(times) - 1) / (times[-1] - times[0]), 2) if is_measured else 0.0,
            "latency_ms": None if self._latency_s is None else round(1000 * self._latency_s),
            "dropped": self._avatar.num_dropped + self._num_dropped,
            "waiting_s": round(self._avatar.waiting_s, 2),
            "speaking": self._is_speaking,
            "watchers": len(self._watchers),
            "size": self._avatar.side_px,
        }

    async def _push(self, sound: Waveform) -> None:
        if self._avatar.waiting_s == 0 and not self._is_speaking and self._heard_s is None:
            self._heard_s = time.monotonic()
        await self._avatar.push_audio(sound, RATE_HZ)

    def _show(self, frame: AvatarFrame) -> None:
        if frame.is_speech and self._heard_s is not None:
            self._latency_s, self._heard_s = time.monotonic() - self._heard_s, None
        self._is_speaking = frame.is_speech
        picture = None
        if frame.picture is not None:
            self._times.append(time.monotonic())
            picture = VideoFrame.from_ndarray(frame.picture, format="rgb24").reformat(format="yuv420p")
        for watcher in self._watchers:
            self._num_dropped += watcher.show(frame, picture)


def _packets(frame: AvatarFrame) -> list[np.ndarray]:
    """Returns the two packets of a frame's sound: (1, samples), 16-bit, mono at 48 kHz."""
    samples = frame.sound.samples.mean(axis=0)
    if frame.sound.rate_hz != RATE_HZ:  # nothing was said yet
        samples = np.zeros(RATE_HZ // FRAME_RATE, np.float32)
    whole = (samples * 32767).round().clip(-32768, 32767).astype(np.int16)[None]
    return [whole[:, first : first + _PACKET_SAMPLES] for first in range(0, whole.shape[1], _PACKET_SAMPLES)]
