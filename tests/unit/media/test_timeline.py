import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.errors import InputError
from pcavs.media import timeline
from pcavs.media.timeline import parse_time

PTS = st.lists(st.integers(0, 4000), min_size=1, max_size=60, unique=True).map(sorted)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (319, 0), (320, 1), (16_000, 25), (53_280, 83), (987_520, 1543)]
)
def test_frames_of_known_lengths(samples: int, frames: int):
    assert timeline.count_frames(samples) == frames


@given(st.integers(0, 10**12))
def test_frames_equal_the_formula_and_undo_samples(samples: int):
    frames = timeline.count_frames(samples)
    assert frames == int(Fraction(25 * samples, 16_000) + Fraction(1, 2))
    assert abs(timeline.count_samples(frames) - samples) <= 320
    assert timeline.count_frames(timeline.count_samples(samples)) == samples


@given(st.integers(0, 10**6), st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]))
def test_resampled_count_is_nearest(count: int, rate_hz: int):
    assert abs(timeline.resampled_count(count, rate_hz, 16_000) - Fraction(count * 16_000, rate_hz)) <= Fraction(1, 2)


@given(st.integers(1, 50), st.integers(0, 500))
def test_bounce_never_jumps_nor_halts(n: int, t: int):
    here, there = timeline.bounce_index(t, n), timeline.bounce_index(t + 1, n)
    assert 0 <= here < n
    assert abs(here - there) == (1 if n > 1 else 0)


def test_bounce_turns_without_doubling_the_ends():
    assert [timeline.bounce_index(t, 4) for t in range(10)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert [timeline.bounce_index(t, 1) for t in range(3)] == [0, 0, 0]
    assert [timeline.bounce_index(t, 2) for t in range(4)] == [0, 1, 0, 1]


@pytest.mark.parametrize(("bins", "windows"), [(0, 0), (19, 0), (20, 1), (23, 1), (24, 2), (1460, 361)])
def test_windows_that_lie_inside_a_mel(bins: int, windows: int):
    assert timeline.count_whole_windows(bins) == windows


def test_the_published_bounce_doubles_its_ends():
    assert [timeline.doubling_bounce_index(t, 3) for t in range(10)] == [0, 1, 2, 2, 1, 0, 0, 1, 2, 2]
    assert [timeline.doubling_bounce_index(t, 1) for t in range(3)] == [0, 0, 0]


@given(PTS, st.integers(1, 400), st.integers(0, 500), st.none() | st.integers(1, 5000))
def test_resampling_equals_a_search_for_the_nearest(pts: list[int], last_ms: int, start_ms: int, length_ms: int | None):
    times = [Fraction(ms, 1000) for ms in pts]
    until = [*times[1:], times[-1] + Fraction(last_ms, 1000)]
    start = Fraction(start_ms, 1000)
    end = None if length_ms is None else start + Fraction(length_ms, 1000)
    found = list(timeline.resample_nearest(zip(times, until, range(len(times)), strict=True), start, end))

    last = until[-1] if end is None else min(until[-1], end)
    total = timeline.count_frames_between(start, last) or int(last > start)
    grid = [start + Fraction(k, 25) for k in range(total)]
    wanted = [min(range(len(times)), key=lambda i: (abs(times[i] - at), i)) for at in grid]
    assert found == wanted


def test_resampling_is_a_stream():
    # Twenty seconds of source must not be read ahead to give the first frames.
    read: list[int] = []

    def source():
        for k in range(500):
            read.append(k)
            yield Fraction(k, 25), Fraction(k + 1, 25), k

    frames = timeline.resample_nearest(source())
    assert [next(frames) for _ in range(3)] == [0, 1, 2]
    assert len(read) <= 6


def test_resampling_leaves_out_what_runs_backwards():
    timed = [(Fraction(k, 25), Fraction(k + 1, 25), k) for k in (0, 1, 1, 0, 2)]
    assert list(timeline.resample_nearest(timed)) == [0, 1, 2]


def test_window_bins_meet_the_padded_mel():
    assert timeline.window_bins(0) == slice(0, 20)
    assert timeline.window_bins(82).stop == timeline.count_padded_bins(83)
    assert timeline.frame_time_s(50) == 2.0


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (float("nan"), None), (2.0, 2.0), (3.0, 1.0)])
def test_a_backward_range_is_refused(start: float, end: float | None):
    with pytest.raises(InputError, match="give"):
        timeline.check_range(start, end)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("62.5", 62.5), ("0:01", 1), ("1:02.5", 62.5), ("01:00:02", 3602), (" 2:00 ", 120), ("-1", -1)],
)
def test_times_with_minutes_and_hours(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", ":", "1:", "1:60", "1:99:00", "1:2:3:4", "-1:00", "1:-1", "a:00", "1.5:00", "1:nan"]
)
def test_other_spellings_of_times_are_refused(text):
    with pytest.raises(ValueError, match="^"):
        parse_time(text)


def test_a_picture_of_years_is_not_counted_through_beyond_the_end():
    years = Fraction(10**12)
    timed = [(Fraction(0), Fraction(1, 25), "first"), (years, years + 1, "second")]
    began = time.process_time()
    assert list(timeline.resample_nearest(timed, Fraction(1, 5), Fraction(2, 5))) == ["first"] * 5
    assert time.process_time() - began < 1
