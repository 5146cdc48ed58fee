"""An avatar for LiveKit Agents: speech of the agent goes in, synchronised pictures and sound come out.

In the entry point of an agent (pip install "pcavs" "livekit-agents"):

    async with pcavs.load().live("face.jpg", size=384) as avatar:
        output = QueueAudioOutput(sample_rate=24_000)
        video = PcavsVideo(avatar)
        runner = AvatarRunner(room, audio_recv=output, video_gen=video, options=options(avatar, 24_000))
        await runner.start()
        session.output.audio = output

python examples/live/livekit_avatar.py [SPEECH] runs it without a room, with LiveKit's own queue, and prints what comes
out.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, QueueAudioOutput, VideoGenerator

import pcavs
from pcavs.animate.avatar import Avatar, AvatarFrame
from pcavs.media.audio import read_waveform

EXAMPLES = Path(__file__).parents[1]


class PcavsVideo(VideoGenerator):
    """Gives an open avatar to LiveKit's `AvatarRunner`."""

    def __init__(self, avatar: Avatar) -> None:
        """Takes the avatar."""
        self._avatar = avatar
        self._is_ending = False

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Takes the next piece of speech, or its end."""
        if isinstance(frame, AudioSegmentEnd):
            await self._avatar.flush()
            self._is_ending = True
        else:
            self._is_ending = False
            await self._avatar.push_audio(bytes(frame.data), frame.sample_rate, frame.num_channels)

    async def clear_buffer(self) -> None:
        """Interrupts."""
        self._is_ending = False
        await self._avatar.interrupt()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Yields pictures, each with the sound that belongs to it, and the end of each segment after its last frame."""
        async for frame in self._avatar.run():
            if self._is_ending and not frame.is_speech and not self._avatar.waiting_s:
                self._is_ending = False
                yield AudioSegmentEnd()
            if frame.picture is not None:
                side = frame.picture.shape[0]
                kind = rtc.VideoBufferType.RGB24 if frame.picture.shape[2] == 3 else rtc.VideoBufferType.RGBA
                yield rtc.VideoFrame(side, side, kind, frame.picture.tobytes())
            if frame.is_speech:
                yield self._sound(frame)

    def _sound(self, frame: AvatarFrame) -> rtc.AudioFrame:
        samples = (frame.sound.samples.mean(axis=0) * 32767).round().clip(-32768, 32767).astype(np.int16)
        return rtc.AudioFrame(samples.tobytes(), frame.sound.rate_hz, 1, len(samples))


def options(avatar: Avatar, rate_hz: int) -> AvatarOptions:
    """Returns the options of an `AvatarRunner` for an open avatar."""
    side = avatar.side_px
    return AvatarOptions(video_width=side, video_height=side, video_fps=25, audio_sample_rate=rate_hz, audio_channels=1)


async def main(speech: str) -> None:
    """Speaks a file through LiveKit's queue, and interrupts it when half of it was heard."""
    samples = (read_waveform(Path(speech)) * 32767).astype(np.int16)
    async with pcavs.load().live(EXAMPLES / "face.jpg") as avatar:
        queue, video = QueueAudioOutput(sample_rate=16_000), PcavsVideo(avatar)

        async def feed() -> None:
            async for frame in queue:
                await video.push_audio(frame)

        feeding = asyncio.create_task(feed())
        begin = time.monotonic()
        for first in range(0, len(samples), 1600):
            piece = samples[first : first + 1600]
            await queue.capture_frame(rtc.AudioFrame(piece.tobytes(), 16_000, 1, len(piece)))
        queue.flush()
        heard_s = pictures = 0
        async for frame in video:
            if isinstance(frame, rtc.AudioFrame):
                if not heard_s:
                    print(f"first sound after {time.monotonic() - begin:.2f} s")
                heard_s += frame.duration
            pictures += isinstance(frame, rtc.VideoFrame)
            if heard_s > len(samples) / 32_000:
                await video.clear_buffer()
                break
        print(f"{heard_s:.2f} s of sound, {pictures} pictures")
        feeding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await feeding


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else str(EXAMPLES / "speech.wav")))
