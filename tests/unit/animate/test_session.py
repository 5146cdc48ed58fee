"""Live sessions: the pieces of sound change nothing, frames and sound stay together, and interruptions end speech."""

import gc
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers.live import SIDE_PX, HearingMouth, pieces, syllables
from helpers.sounds import write_wav
from helpers.talkers import LoudMouth
from pcavs.animate.talker import Talker
from pcavs.errors import InputError, SessionError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.pose.expression import GAZE, GAZE_PITCH, LEFT_LID
from pcavs.pose.track import LARGEST_STEP, still
from pcavs.provenance.audio_mark import MarkDetector

RATE = 16_000
SECONDS = 1.6


@pytest.fixture(scope="module")
def landmarker():
    return FaceLandmarker()


@pytest.fixture(scope="module", params=[HearingMouth, LoudMouth], ids=["states", "mel"])
def talker(request, landmarker):
    return Talker(request.param(), landmarker, "loud", "0" * 64)


@pytest.fixture(scope="module")
def hearing(landmarker):
    return Talker(HearingMouth(), landmarker, "loud", "0" * 64)


@pytest.fixture(scope="module")
def person(hearing, composite):
    with hearing.session(composite, size=SIDE_PX) as session:
        return session.person


@pytest.fixture
def session(hearing, person):
    with hearing.session(person, marks="none") as session:
        yield session


def run(session, sound, lengths, rate_hz=RATE):
    """Pushes pieces, takes frames as they come, and ends; returns pictures, times and sound."""
    frames = []
    with session:
        for piece in pieces(sound, lengths):
            session.push(piece, rate_hz)
            frames += session.frames()
        session.end()
        frames += session.frames()
    return frames


def pictures(frames):
    return np.stack([frame.picture for frame in frames])


def heard(frames):
    return np.concatenate([frame.sound.samples for frame in frames], axis=1)


def opened(talker, frames):
    """Returns how open the mouth is, 0 to 1, in the frames that were drawn last."""
    return np.array(talker.runtime.opened[-len(frames) :])


def test_the_pieces_do_not_change_a_pixel(talker, person):
    rate_hz = 16_000 if talker.runtime.features is None else 22_050
    sound = syllables(SECONDS, rate_hz)
    whole = run(talker.session(person, pose="natural"), sound, [len(sound)], rate_hz)
    assert len(np.unique(pictures(whole), axis=0)) > 0.8 * len(whole), "mouth and head move"
    rng = np.random.default_rng(5)
    for milliseconds in ([10], [20], [100], [333], rng.integers(1, 400, 50).tolist()):
        lengths = [round(each * rate_hz / 1000) for each in milliseconds]
        frames = run(talker.session(person, pose="natural"), sound, lengths, rate_hz)
        assert np.array_equal(pictures(frames), pictures(whole)), milliseconds
        assert np.array_equal(heard(frames), heard(whole))
        assert [frame.pts for frame in frames] == [Fraction(k, 25) for k in range(len(whole))]


def test_with_the_whole_loudness_frames_are_those_of_a_film(talker, person, composite, tmp_path):
    rate_hz = 44_100 if talker.runtime.features is None else 16_000
    path = write_wav(tmp_path / "speech.wav", syllables(SECONDS, rate_hz), rate_hz)
    sound = (syllables(SECONDS, rate_hz) * 32767).round().astype(np.int16)
    film = talker.animate(composite, path, size=SIDE_PX, seed=4)
    frames = run(talker.session(person, pose=None, loudness="whole", seed=4), sound, [777], rate_hz)
    assert len(frames) == film.num_frames
    assert np.array_equal(pictures(frames), np.stack(list(film.frames)))


def test_with_a_long_look_ahead_lips_are_about_those_of_a_film(hearing, person, composite, tmp_path):
    sound = syllables(SECONDS)
    film = hearing.animate(composite, write_wav(tmp_path / "speech.wav", sound), size=SIDE_PX, no_blinks=True)
    offline = opened(hearing, list(film.frames))
    frames = run(hearing.session(person, pose=None, look_ahead=0.6, no_blinks=True), sound, [640])
    assert np.corrcoef(offline, opened(hearing, frames))[0, 1] > 0.97


def test_less_look_ahead_is_sooner_and_costs_lips(hearing, person):
    sound = syllables(SECONDS)
    lips, waits = [], []
    for look_ahead in (0.36, 0.28, 0.24, 0.08):
        with hearing.session(person, pose=None, look_ahead=look_ahead) as session:
            assert session.look_ahead_s == pytest.approx(look_ahead)
            pushed = 0
            while not session.is_ready:
                session.push(sound[pushed : pushed + 160], RATE)
                pushed += 160
            waits.append(pushed / RATE)
        lips.append(opened(hearing, run(hearing.session(person, look_ahead=look_ahead), sound, [640])))
    assert waits == pytest.approx([0.36, 0.28, 0.24, 0.08])
    assert np.corrcoef(lips[0], lips[1])[0, 1] > 0.99
    assert 0.5 < np.corrcoef(lips[0], lips[3])[0, 1] < np.corrcoef(lips[0], lips[1])[0, 1]


def test_sound_adds_up_to_what_was_pushed(session):
    rng = np.random.default_rng(0)
    sound = rng.integers(-3000, 3000, (2, 50_001)).astype(np.int16)
    frames = run(session, sound, [1234], 24_000)
    assert np.array_equal(heard(frames), sound.astype(np.float32) / 32768)
    assert {frame.sound.samples.shape for frame in frames[:-1]} == {(2, 960)}
    assert all(frame.sound.rate_hz == 24_000 for frame in frames)


def test_clicks_and_mouth_are_together(hearing, person):
    """Offset 0: the mouth is open in the frames in which a burst is heard."""
    sound = np.zeros(RATE * 3, np.float32)
    starts = [0.5, 1.3, 2.1]
    for start in starts:
        sound[round(start * RATE) : round((start + 0.2) * RATE)] = 0.2 * np.random.default_rng(1).standard_normal(3200)
    frames = run(hearing.session(person, pose=None, no_blinks=True, marks="none"), sound, [480])
    loud = np.array([np.sqrt(np.square(frame.sound.samples).mean()) for frame in frames])
    lags = range(-4, 5)
    lips = opened(hearing, frames)
    fits = [np.corrcoef(np.roll(lips, -lag)[5:-5], loud[5:-5])[0, 1] for lag in lags]
    assert list(lags)[int(np.argmax(fits))] == 0
    assert max(fits) > 0.9


def test_marked_sound_is_found_and_is_as_long(hearing, person):
    rng = np.random.default_rng(2)
    sound = (
        (0.2 * rng.standard_normal(RATE * 8) * (1 + np.sin(np.arange(RATE * 8) / 900))).clip(-1, 1).astype(np.float32)
    )
    with hearing.session(person, pose=None) as session:
        session.push(sound, RATE)
        session.end()
        parts = []
        while (part := session.skip()) is not None:
            parts.append(part.samples[0])
    marked = np.concatenate(parts)
    assert len(marked) == len(sound)
    assert np.corrcoef(marked, sound)[0, 1] > 0.98
    detector = MarkDetector()
    detector.add(marked)
    assert detector.finish().found


def test_an_interruption_drops_speech_and_closes_the_mouth_within_120_ms(hearing, session):
    session.push(syllables(SECONDS), RATE)
    num_shown, dropped_s = 0, 0.0
    for _ in session.frames():
        num_shown += 1
        if hearing.runtime.opened[-1] > 0.9:
            dropped_s = session.clear()
    assert dropped_s == pytest.approx(SECONDS - num_shown / 25)
    after = [session.idle() for _ in range(6)]
    assert not heard(after).any(), "no sound of before"
    lips = hearing.runtime.opened[-7:]
    assert lips[0] > lips[1] > lips[2] > lips[3] == 0, "softly, and within 120 ms"
    assert lips[3:] == [0] * 4
    assert [frame.pts for frame in after] == [Fraction(num_shown + k, 25) for k in range(6)]


def test_speech_after_an_interruption_is_in_sync(hearing, session):
    session.push(syllables(SECONDS), RATE)
    next(session.frames())
    session.clear()
    session.idle()
    burst = np.zeros(RATE, np.float32)
    burst[8320:11520] = 0.2 * np.random.default_rng(3).standard_normal(3200)
    session.push(burst, RATE)
    session.flush()
    frames = list(session.frames())
    assert [bool(frame.sound.samples.any()) for frame in frames] == [13 <= k < 18 for k in range(25)]
    lips = opened(hearing, frames)
    assert lips[14:17].min() > 0.9
    assert max(lips[:12].max(), lips[19:].max()) < 0.2


def test_idle_frames_move_and_blink(session):
    frames = [session.idle() for _ in range(150)]
    changes = np.abs(np.diff(pictures(frames).astype(int), axis=0)).reshape(149, -1).max(axis=1)
    assert np.count_nonzero(changes) > 140, "no frozen picture"
    assert not heard(frames).any()


def test_speech_that_stops_without_an_end_is_shown_after_a_while(session):
    session.push(syllables(0.5), RATE)
    shown = len(list(session.frames()))
    for _ in range(9):
        session.idle()
        assert not session.is_ready
    session.idle()
    assert shown + len(list(session.frames())) == 13
    assert session.waiting_s == 0


def test_speech_in_short_pieces_after_a_long_silence_is_one_utterance(session):
    """Silence before the speech counted as a pause in it, so that its first pieces were utterances of their own."""
    sound, shown = syllables(0.8), []
    for _ in range(30):
        session.idle()
    for piece in pieces(sound, [RATE // 50]):
        session.push(piece, RATE)
        shown.extend(session.frames())
        if not shown:
            session.idle()
    session.end()
    shown.extend(session.frames())
    assert np.array_equal(np.concatenate([frame.sound.samples[0] for frame in shown]), sound)


def test_the_head_is_steered(session):
    session.pose(yaw=15.0, over_s=0.5)
    rows = []
    head = session._head
    for _ in range(30):
        session.idle()
        rows.append(head.angles)
    rows = np.array(rows)
    assert rows[-1][0] == pytest.approx(15, abs=0.5)
    assert np.abs(np.diff(rows, axis=0)).max() <= LARGEST_STEP[0]
    session.pose("presenter", over_s=1.0)
    session.idle()
    track = still(10)
    track[:, 1] = 5
    session.pose(track, over_s=0.2)
    for _ in range(10):
        session.idle()
    assert head.angles == pytest.approx((0, 5, 0), abs=1e-6)
    session.pose(over_s=0.0)
    for _ in range(12):
        session.idle()
    assert head.angles == pytest.approx(tuple(session.person.identity.own_deg), abs=1e-6)


def test_natural_motion_blinks_by_itself_and_leaves_the_eyes_to_who_turns_them(session):
    session.pose("natural", over_s=0.0)
    rows = [session._advance(0.5)[1:] for _ in range(200)]
    assert max(eyelids for eyelids, _ in rows) == 1
    glances = np.array([row[GAZE] for _, row in rows[10:]])
    assert 0.5 < glances.std(axis=0).max() < 12
    session.gaze(10.0, -5.0)
    _, _, told = session._advance(0.5)
    assert told[GAZE].tolist() == [10, -5]
    session.gaze(0.0, 0.0)
    session.pose("still", over_s=0.4)
    faces = np.array([session._head.face for _ in range(9) if session._advance(0.0) is not None])
    assert (np.abs(np.diff(faces[:, LEFT_LID : GAZE_PITCH + 1], axis=0)).max(axis=0) < [0.1, 0.1, 4, 4]).all()
    session._advance(0.0)
    session._advance(0.0)
    assert session._head.face is None
    session.pose("natural=0", over_s=0.0)
    assert not any(session._advance(0.5)[1] for _ in range(200)), "no blinks at strength 0"


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        ("nobody", "there is no pose named nobody"),
        ("clip.mp4", "clip.mp4 is a video; save its motion with pcavs pose extract"),
        ("natural=3", "a strength of 3 cannot be used; give 0 to 2"),
        (np.zeros((3, 5)), "a head track of shape"),
    ],
)
def test_what_is_no_motion_is_refused(session, pose, message):
    with pytest.raises(InputError, match=message):
        session.pose(pose)
    with pytest.raises(InputError, match="a yaw of nan degrees cannot be used"):
        session.pose(yaw=float("nan"))
    with pytest.raises(InputError, match="a move over -1 s cannot be made"):
        session.pose(yaw=3.0, over_s=-1.0)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (np.zeros(10, np.int32), RATE, "samples of type int32 cannot be used"),
        (np.zeros((9, 10), np.float32), RATE, "sound of shape"),
        (np.full(10, np.nan, np.float32), RATE, "values that are not finite"),
        (np.zeros(10, np.float32), 0, "a sampling rate of 0 Hz"),
        (np.array(["x"]), RATE, "samples of type"),
    ],
)
def test_garbage_is_refused_and_the_session_goes_on(session, samples, rate_hz, message):
    with pytest.raises(InputError, match=message):
        session.push(samples, rate_hz)
    session.push(syllables(0.5), RATE)
    session.end()
    assert len(list(session.frames())) == 13


def test_the_rate_may_change_between_utterances_only(session):
    session.push(syllables(0.5), RATE)
    with pytest.raises(SessionError, match=r"changed from 16000 Hz \(1 channels\) to 24000 Hz \(1\) in mid-speech"):
        session.push(syllables(0.5, 24_000), 24_000)
    session.flush()
    session.push(syllables(0.5, 24_000), 24_000)
    session.end()
    rates = [frame.sound.rate_hz for frame in session.frames()]
    assert rates == [16_000] * 13 + [24_000] * 13


def test_nothing_is_taken_after_the_end(session):
    session.end()
    with pytest.raises(SessionError, match="the session has ended"):
        session.push(syllables(0.5), RATE)
    assert session.idle().picture.shape == (SIDE_PX, SIDE_PX, 3)
    session.close()
    session.close()
    for call in (session.idle, session.clear, session.end, session.flush, session.skip, session.pose):
        with pytest.raises(SessionError, match="the session was closed"):
            call()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"look_ahead": 0.03}, r"a look_ahead of 0.03 s cannot be used; give 0.08 to 1"),
        ({"look_ahead": float("nan")}, "a look_ahead of nan s"),
        ({"loudness": float("nan")}, "a loudness of nan dB cannot be used"),
        ({"loudness": 5.0}, "a loudness of 5 dB cannot be used; give -60 to 0"),
        ({"articulation": 3.0}, "an articulation of 3 cannot be used"),
    ],
)
def test_settings_are_checked(hearing, person, settings, message):
    with pytest.raises(InputError, match=message):
        hearing.session(person, **settings)


def test_memory_of_a_long_session_does_not_grow(session):
    sound = syllables(2.0)
    sizes = []
    for _ in range(20):
        session.push(sound, RATE)
        while session.skip() is not None:
            pass
        list(session.frames())
        utterance = session._utterances[0]
        sizes.append(len(utterance._speech._buffer) + utterance._encoded._mel._bins.size)
    assert sizes[-1] <= 2 * sizes[2]


def test_many_sessions_leave_nothing_behind(hearing, person):
    def state():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    sound = syllables(0.4)
    before = None
    for count in range(200):
        with hearing.session(person) as session:
            session.push(sound, RATE)
            next(session.frames())
        if count == 10:
            before = state()
    assert state() == before
