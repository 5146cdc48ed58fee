"""An avatar for Pipecat: a video service between the speech service and the transport's output.

In a bot (pip install "pcavs" "pipecat-ai", in an environment of their own, because Pipecat needs an older protobuf):

    async with pcavs.load().live("face.jpg", size=384) as avatar:
        video = PcavsVideoService(avatar)
        pipeline = Pipeline([transport.input(), stt, llm, tts, video, transport.output()])

python examples/live/pipecat_avatar.py [SPEECH] runs it in a pipeline without a transport, and prints what comes out.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

import pcavs
from pcavs.animate.avatar import Avatar
from pcavs.media.audio import read_waveform

EXAMPLES = Path(__file__).parents[1]


class PcavsVideoService(AIService):
    """Replaces the sound of a speech service by the same sound with pictures in sync."""

    def __init__(self, avatar: Avatar) -> None:
        """Takes an open avatar, which the caller closes."""
        super().__init__(settings=ServiceSettings(model=None))
        self._avatar = avatar
        self._showing: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        """Begins to show the avatar."""
        await super().start(frame)
        self._showing = self.create_task(self._show())

    async def stop(self, frame: EndFrame) -> None:
        """Ends when what was pushed has been shown."""
        await super().stop(frame)
        if self._showing is not None:
            await self._avatar.end()
            await self._showing
            self._showing = None

    async def cancel(self, frame: CancelFrame) -> None:
        """Ends at once."""
        await super().cancel(frame)
        await self._stop_showing()

    async def cleanup(self) -> None:
        """Ends, if nothing ended it yet."""
        await super().cleanup()
        await self._stop_showing()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Takes speech and interruptions; passes on all other frames."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            await self._avatar.push_audio(frame.audio, frame.sample_rate, frame.num_channels)
            return
        if isinstance(frame, TTSStoppedFrame):
            await self._avatar.flush()
        elif isinstance(frame, InterruptionFrame):
            await self._avatar.interrupt()
        await self.push_frame(frame, direction)

    async def _show(self) -> None:
        """Pushes pictures and sound; while somebody speaks, a picture waits for the sound before it."""
        async for frame in self._avatar.run():
            if frame.picture is not None:
                side = frame.picture.shape[0]
                picture = OutputImageRawFrame(frame.picture[..., :3].tobytes(), (side, side), "RGB")
                picture.sync_with_audio = frame.is_speech
                await self.push_frame(picture)
            if frame.is_speech:
                samples = (frame.sound.samples.mean(axis=0) * 32767).round().clip(-32768, 32767).astype(np.int16)
                await self.push_frame(SpeechOutputAudioRawFrame(samples.tobytes(), frame.sound.rate_hz, 1))

    async def _stop_showing(self) -> None:
        if self._showing is not None:
            await self.cancel_task(self._showing)
            self._showing = None


async def main(speech: str) -> None:
    """Speaks a file in a pipeline and counts what comes out."""
    from pipecat.tests.utils import run_test

    samples = (read_waveform(Path(speech)) * 32767).astype(np.int16)
    pieces = [samples[first : first + 1600].tobytes() for first in range(0, len(samples), 1600)]
    spoken = [*(TTSAudioRawFrame(piece, 16_000, 1) for piece in pieces), TTSStoppedFrame()]
    async with pcavs.load().live(EXAMPLES / "face.jpg") as avatar:
        frames, _ = await run_test(PcavsVideoService(avatar), frames_to_send=spoken)
    sound = sum(len(each.audio) for each in frames if isinstance(each, SpeechOutputAudioRawFrame)) / 32_000
    pictures = sum(isinstance(each, OutputImageRawFrame) for each in frames)
    print(f"{len(samples) / 16_000:.2f} s of speech in; {sound:.2f} s of sound and {pictures} pictures out")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else str(EXAMPLES / "speech.wav")))
