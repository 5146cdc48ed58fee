"""The adapters of examples/live, driven by the frames, queues and runners of the packages that they are for.

They skip where a package is not installed; Pipecat needs an environment of its own (docs/live.md).
"""

import asyncio
import importlib.util
import time

import numpy as np
import pytest

RATE = 24_000


@pytest.fixture(scope="module")
def talker():
    live = pytest.importorskip("helpers.live")  # needs torch, which these environments may lack
    from pcavs.animate.talker import Talker
    from pcavs.face.landmarker import FaceLandmarker

    return Talker(live.HearingMouth(), FaceLandmarker(), "loud", "0" * 64)


@pytest.fixture
def avatar(talker, composite):
    return lambda: talker.live(composite, size=64, marks="none")


def load(root, name):
    spec = importlib.util.spec_from_file_location(name, root / "examples" / "live" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def speech(seconds):
    samples = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE)) / RATE)
    return (samples * 32767).astype(np.int16)


def pieces(samples, length=RATE // 10):
    return [samples[first : first + length] for first in range(0, len(samples), length)]


def test_livekit_gets_pictures_with_their_sound_and_can_interrupt(avatar, root, monkeypatch):
    rtc = pytest.importorskip("livekit.rtc")
    avatars = pytest.importorskip("livekit.agents.voice.avatar")
    adapter = load(root, "livekit_avatar")
    pushed, finished = [], []

    class Room(rtc.EventEmitter):
        local_participant = None

        def isconnected(self):
            return True

    async def scene():
        async with avatar() as open_avatar:
            queue = avatars.QueueAudioOutput(sample_rate=RATE)
            queue.on("playback_finished", finished.append)
            video = adapter.PcavsVideo(open_avatar)
            options = adapter.options(open_avatar, RATE)
            runner = avatars.AvatarRunner(Room(), audio_recv=queue, video_gen=video, options=options)

            async def publish():
                runner._video_publication = object()

            async def push(frame):
                pushed.append((time.monotonic(), frame))

            monkeypatch.setattr(runner, "_publish_track", publish)  # the only part that needs a server
            monkeypatch.setattr(runner.av_sync, "push", push)
            await runner.start()
            for length_s, interrupt in ((0.8, False), (5.0, True)):
                for piece in pieces(speech(length_s)):
                    await queue.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece)))
                queue.flush()
                if interrupt:
                    await asyncio.sleep(1.0)
                    queue.clear_buffer()
                while len(finished) < (2 if interrupt else 1):
                    await asyncio.sleep(0.02)
            count = len(pushed)
            await asyncio.sleep(0.5)
            await runner.aclose()
            return count

    count = asyncio.run(asyncio.wait_for(scene(), 60))
    sounds = [frame for _, frame in pushed if isinstance(frame, rtc.AudioFrame)]
    pictures = [frame for _, frame in pushed if isinstance(frame, rtc.VideoFrame)]
    assert finished[0].playback_position == pytest.approx(0.8, abs=0.041)
    assert not finished[0].interrupted
    assert finished[1].interrupted
    assert finished[1].playback_position < 3
    assert not any(isinstance(frame, rtc.AudioFrame) for _, frame in pushed[count + 1 :]), "no late sound"
    assert any(isinstance(frame, rtc.VideoFrame) for _, frame in pushed[count + 1 :]), "pictures go on"
    assert {(frame.width, frame.height) for frame in pictures} == {(64, 64)}
    assert sum(frame.duration for frame in sounds) < 4
    first = next(place for place, (_, frame) in enumerate(pushed) if isinstance(frame, rtc.AudioFrame))
    assert isinstance(pushed[first - 1][1], rtc.VideoFrame), "a picture is before its sound"


def test_pipecat_gets_pictures_in_sync_with_sound_and_can_interrupt(avatar, root):
    frames = pytest.importorskip("pipecat.frames.frames")
    run_test = pytest.importorskip("pipecat.tests.utils").run_test
    sleep = pytest.importorskip("pipecat.tests.utils").SleepFrame
    adapter = load(root, "pipecat_avatar")

    def spoken(seconds):
        return [frames.TTSAudioRawFrame(piece.tobytes(), RATE, 1) for piece in pieces(speech(seconds))]

    async def scene(*sent):
        async with avatar() as open_avatar:
            service = adapter.PcavsVideoService(open_avatar)
            found, _ = await run_test(service, frames_to_send=list(sent), start_timeout=30.0)
            return found

    def sound_of(found):
        return [each for each in found if isinstance(each, frames.SpeechOutputAudioRawFrame)]

    whole = asyncio.run(scene(*spoken(0.8), frames.TTSStoppedFrame()))
    heard = np.concatenate([np.frombuffer(each.audio, np.int16) for each in sound_of(whole)])
    assert np.abs(heard[: len(speech(0.8))].astype(int) - speech(0.8)).max() <= 2
    pictures = [each for each in whole if isinstance(each, frames.OutputImageRawFrame)]
    assert any(each.sync_with_audio for each in pictures)
    assert {each.size for each in pictures} == {(64, 64)}
    assert not any(isinstance(each, frames.TTSAudioRawFrame) for each in whole)
    assert any(isinstance(each, frames.TTSStoppedFrame) for each in whole)

    cut = asyncio.run(scene(*spoken(5.0), sleep(sleep=1.0), frames.InterruptionFrame(), sleep(sleep=0.5)))
    assert 0 < sum(each.num_frames for each in sound_of(cut)) / RATE < 3
    stop = next(place for place, each in enumerate(cut) if isinstance(each, frames.InterruptionFrame))
    assert not sound_of(cut[stop + 2 :])
    assert any(isinstance(each, frames.OutputImageRawFrame) for each in cut[stop + 2 :])
