"""The asyncio face of live sessions: frames come on time, sound is never dropped, and closing leaves no thread."""

import asyncio
import gc
import inspect
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from helpers.live import SIDE_PX, HearingMouth, syllables
from pcavs.animate.avatar import SessionSettings
from pcavs.animate.talker import Talker
from pcavs.errors import InputError, SessionError
from pcavs.face.landmarker import FaceLandmarker

RATE = 16_000
FRAME = RATE // 25


@pytest.fixture(scope="module")
def talker():
    return Talker(HearingMouth(), FaceLandmarker(), "loud", "0" * 64)


@pytest.fixture(scope="module")
def person(talker, composite):
    with talker.session(composite, size=SIDE_PX) as session:
        return session.person


@pytest.fixture
def open_avatar(talker, person):
    """Returns a function that makes an avatar without marks, so that its sound is what was pushed."""
    return lambda **settings: talker.live(person, marks="none", **settings)


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def pcm(sound):
    return (sound * 32767).round().astype("<i2").tobytes()


def heard(frames):
    return np.concatenate([frame.sound.samples for frame in frames], axis=1)[0]


async def take(avatar, count):
    """Returns the next frames, and the time at which each came."""
    frames, times = [], []
    async for frame in avatar.run():
        frames.append(frame)
        times.append(time.monotonic())
        if len(frames) == count:
            break
    return frames, times


def test_speech_comes_back_with_pictures_at_25_frames_a_second(open_avatar):
    sound = syllables(1.2)

    async def scene():
        async with open_avatar() as avatar:
            assert avatar.side_px == SIDE_PX
            await avatar.push_audio(pcm(sound), RATE)
            await avatar.end()
            return await take(avatar, -1)

    frames, times = asyncio.run(scene())
    assert [frame.pts for frame in frames] == [Fraction(k, 25) for k in range(30)]
    assert np.abs(heard(frames) - sound).max() < 1e-4
    assert all(frame.is_speech for frame in frames)
    assert 1.1 < times[-1] - times[0] < 2


def test_bytes_and_arrays_of_two_channels_are_heard(open_avatar):
    sound = np.stack([syllables(0.4), syllables(0.4, seed=1)])

    async def scene(pushed, *channels):
        async with open_avatar() as avatar:
            await avatar.push_audio(pushed, RATE, *channels)
            await avatar.end()
            return (await take(avatar, -1))[0]

    for frames in (asyncio.run(scene(sound)), asyncio.run(scene(pcm(sound.T), 2))):
        assert np.abs(np.concatenate([frame.sound.samples for frame in frames], axis=1) - sound).max() < 1e-4


def test_nothing_is_said_at_first_and_after_a_flush(open_avatar):
    async def scene():
        async with open_avatar() as avatar:
            idle, _ = await take(avatar, 5)
            await avatar.push_audio(syllables(0.4), RATE)
            await avatar.flush()
            return idle, (await take(avatar, 15))[0]

    idle, frames = asyncio.run(scene())
    assert not any(frame.is_speech for frame in idle)
    assert all(frame.picture is not None for frame in idle)
    assert sum(frame.is_speech for frame in frames) == 10
    assert not frames[-1].is_speech


def test_the_loop_is_free_while_frames_are_rendered(open_avatar, talker, monkeypatch):
    render = talker.runtime.render

    def slow(*arguments):
        time.sleep(0.03)
        return render(*arguments)

    monkeypatch.setattr(talker.runtime, "render", slow)

    async def scene():
        pauses = []

        async def tick():
            while True:
                start = time.monotonic()
                await asyncio.sleep(0.001)
                pauses.append(time.monotonic() - start)

        async with open_avatar() as avatar:
            ticking = asyncio.create_task(tick())
            await take(avatar, 15)
            ticking.cancel()
        return pauses

    assert np.median(asyncio.run(scene())) < 0.01


def test_a_slow_consumer_loses_pictures_and_no_sound_and_is_told(open_avatar):
    sound = syllables(1.6)

    async def scene():
        frames = []
        async with open_avatar(buffer_frames=2) as avatar:
            await avatar.push_audio(sound, RATE)
            await avatar.end()
            async for frame in avatar.run():
                frames.append(frame)
                if len(frames) == 5:
                    await asyncio.sleep(0.5)
            assert avatar.num_dropped == frames[-1].num_dropped
        return frames

    frames = asyncio.run(scene())
    assert np.array_equal(heard(frames), sound)
    missing = sum(frame.picture is None for frame in frames)
    assert 7 <= missing < 40
    assert frames[-1].num_dropped == missing
    assert [frame.pts for frame in frames] == [Fraction(k, 25) for k in range(40)]
    assert frames[-1].picture is not None


def test_a_slow_machine_loses_pictures_and_no_sound(open_avatar, talker, monkeypatch):
    render = talker.runtime.render

    def slow(*arguments):
        time.sleep(0.07)
        return render(*arguments)

    sound = syllables(1.2)

    async def scene():
        async with open_avatar() as avatar:
            await avatar.push_audio(sound, RATE)
            await avatar.end()
            monkeypatch.setattr(talker.runtime, "render", slow)
            return await take(avatar, -1)

    frames, times = asyncio.run(scene())
    assert np.array_equal(heard(frames), sound)
    assert 1 <= sum(frame.picture is not None for frame in frames) <= 22
    assert times[-1] - times[0] < 2


def test_a_consumer_that_stops_is_waited_for(open_avatar, monkeypatch):
    monkeypatch.setattr("pcavs.animate.avatar._MOST_WAITING", 10)

    async def scene():
        async with open_avatar() as avatar:
            frames = []
            async for frame in avatar.run():
                frames.append(frame)
                if len(frames) == 1:
                    time.sleep(0.8)
                    waiting = len(avatar._outbox)
                if len(frames) == 20:
                    break
            return waiting, frames

    waiting, frames = asyncio.run(scene())
    assert waiting == 10
    assert [frame.pts for frame in frames] == [Fraction(k, 25) for k in range(20)]


def test_time_stands_still_while_nobody_looks(open_avatar):
    async def scene():
        async with open_avatar() as avatar:
            first, _ = await take(avatar, 3)
            await asyncio.sleep(0.3)
            second, _ = await take(avatar, 3)
            return first + second

    assert asyncio.run(scene())[-1].pts <= Fraction(8, 25)


def test_an_interruption_silences_what_was_pushed_and_speech_goes_on_after_it(open_avatar, talker):
    tone = np.full(RATE, 0.5, np.float32)

    async def scene():
        async with open_avatar(no_blinks=True) as avatar:
            await avatar.push_audio(0.2 * syllables(3.0), RATE)
            before, _ = await take(avatar, 10)
            assert avatar.waiting_s > 2
            dropped_s = await avatar.interrupt()
            assert avatar.waiting_s == 0
            after, _ = await take(avatar, 8)
            talker.runtime.opened.clear()
            await avatar.push_audio(tone, RATE)
            again, _ = await take(avatar, 12)
            return before, dropped_s, after, again

    before, dropped_s, after, again = asyncio.run(scene())
    assert dropped_s == pytest.approx(2.6, abs=0.5), "a busy machine is late"
    assert np.abs(heard(before)).max() > 0.01
    assert not heard(after).any()
    said = heard([frame for frame in again if frame.is_speech])
    assert len(said) > 5 * FRAME
    assert np.array_equal(said, tone[: len(said)])


def test_an_interruption_drops_speech_whose_push_has_not_ended(open_avatar):
    async def scene():
        async with open_avatar() as avatar:
            push = asyncio.create_task(avatar.push_audio(syllables(20.0), RATE))
            await asyncio.sleep(0)
            await avatar.interrupt()
            await push
            return avatar.waiting_s

    assert asyncio.run(scene()) == 0


def test_the_head_can_be_steered(open_avatar):
    async def scene():
        async with open_avatar(pose="still", no_blinks=True) as avatar:
            straight, _ = await take(avatar, 2)
            await avatar.pose(yaw=10.0, over_s=0.1)
            turned, _ = await take(avatar, 8)
            return straight[-1].picture, turned[-1].picture

    straight, turned = asyncio.run(scene())
    assert not np.array_equal(straight, turned)


@pytest.mark.parametrize(
    ("sound", "channels", "expected"),
    [
        (b"odd", 1, "3 bytes are no whole number of 16-bit samples of 1 channels; push whole samples"),
        (b"12345678", 3, "8 bytes"),
        (b"12", 0, "2 bytes"),
        (np.array(["x"]), 1, "samples of type"),
        (np.array(3.0), 1, None),
    ],
)
def test_what_is_no_sound_is_refused_and_the_avatar_goes_on(open_avatar, sound, channels, expected):
    async def scene():
        async with open_avatar() as avatar:
            if expected is None:
                await avatar.push_audio(sound, RATE, channels)
            else:
                with pytest.raises(InputError, match=expected):
                    await avatar.push_audio(sound, RATE, channels)
            return await take(avatar, 2)

    assert len(asyncio.run(scene())[0]) == 2


def test_calls_at_the_wrong_time_are_errors(open_avatar):
    async def scene():
        avatar = open_avatar()
        with pytest.raises(SessionError, match="not open"):
            await avatar.push_audio(b"", RATE)
        await avatar.close()
        async with avatar:
            with pytest.raises(SessionError, match="opened once"):
                await avatar.__aenter__()
            await avatar.push_audio(syllables(0.3), RATE)
            with pytest.raises(SessionError, match="call flush"):
                await avatar.push_audio(syllables(0.3), 24_000)
            await avatar.end()
            with pytest.raises(SessionError, match="ended"):
                await avatar.push_audio(syllables(0.3), RATE)
        await avatar.close()
        with pytest.raises(SessionError, match="not open"):
            await avatar.flush()

    asyncio.run(scene())


def test_a_photograph_that_cannot_be_read_is_an_error_of_opening(talker, tmp_path):
    async def scene():
        async with talker.live(tmp_path / "none.jpg"):
            pass

    with pytest.raises(InputError, match=r"none\.jpg"):
        asyncio.run(scene())
    with pytest.raises(InputError, match="buffered"):
        talker.live(tmp_path / "none.jpg", buffer_frames=0)


def test_ten_minutes_of_speech_may_wait(open_avatar, monkeypatch):
    monkeypatch.setattr("pcavs.animate.avatar._MOST_SPEECH_S", 1.0)

    async def scene():
        async with open_avatar() as avatar:
            with pytest.raises(SessionError, match="push what follows later"):
                await avatar.push_audio(syllables(3.0), RATE)

    asyncio.run(scene())


def test_an_error_while_rendering_reaches_the_consumer(open_avatar, talker, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("rendering")

    async def scene():
        async with open_avatar() as avatar:
            await take(avatar, 2)
            monkeypatch.setattr(talker.runtime, "render", fail)
            await take(avatar, 50)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(scene())


def test_a_later_loop_takes_over(open_avatar):
    async def scene():
        async with open_avatar() as avatar:
            task = asyncio.create_task(take(avatar, -1))
            await asyncio.sleep(0.2)
            later, _ = await take(avatar, 3)
            earlier, _ = await asyncio.wait_for(task, 1)
            return earlier, later

    earlier, later = asyncio.run(scene())
    assert later[0].pts == earlier[-1].pts + Fraction(1, 25)


def test_closing_ends_the_loop_of_another_task(open_avatar):
    async def scene():
        async with open_avatar() as avatar:
            task = asyncio.create_task(take(avatar, -1))
            await asyncio.sleep(0.2)
        frames, _ = await asyncio.wait_for(task, 2)
        return frames

    assert 1 <= len(asyncio.run(scene())) <= 8


def test_a_task_that_is_cancelled_while_opening_or_running_leaves_no_thread(open_avatar):
    async def live():
        async with open_avatar() as avatar:
            await take(avatar, -1)

    async def scene(delay_s):
        task = asyncio.create_task(live())
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for delay_s in (0, 0.001, 0.2):
        asyncio.run(scene(delay_s))
    deadline = time.monotonic() + 2
    while any(each.name == "pcavs avatar" for each in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_200_avatars_opened_and_closed_leave_nothing(open_avatar):
    async def scene():
        for _ in range(200):
            async with open_avatar() as avatar:
                await avatar.push_audio(syllables(0.1), RATE)

    def alive():
        gc.collect()
        names = [type(each).__name__ for each in gc.get_objects()]
        return names.count("Avatar"), names.count("Session")

    before = alive()
    asyncio.run(scene())
    after = alive()
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + 2


def test_settings_are_those_of_a_session():
    parameters = inspect.signature(Talker.session).parameters
    assert SessionSettings.__annotations__ == {
        name: parameter.annotation for name, parameter in parameters.items() if name not in ("self", "photo")
    }
