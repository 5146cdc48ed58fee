"""Timelines: reading JSON, messages for every mistake, and the tracks they compile to."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcavs.errors import InputError
from pcavs.pose import expression
from pcavs.pose.compile import compile_motion, compile_timeline
from pcavs.pose.presets import PRESETS, preset, rhythm_of
from pcavs.pose.source import SegmentReader
from pcavs.pose.timeline import FORMAT, KeysSegment, MixSegment, PresetSegment, read_timeline, timeline_from
from pcavs.pose.track import LARGEST_STEP, SavedTrack, load_saved, still

RHYTHM = 0.5 + 0.5 * np.sin(np.arange(500) / 3)


def timeline(*segments, **fields):
    return timeline_from({"format": FORMAT, "segments": list(segments), **fields}, "poses.json", Path())


def keys(*rows, **fields):
    return {"kind": "keys", "keys": list(rows), **fields}


class NoSources(SegmentReader):
    """Refuses to read any file."""

    def __init__(self): ...

    def read(self, segment, max_frames):
        raise AssertionError("no file should be read")


class TurnedSources(NoSources):
    """Stands in for videos of a head that turns from -40 to 40 degrees in three seconds."""

    def read(self, segment, max_frames):
        track = still(75)
        track[:, 0] = np.linspace(-40, 40, 75)
        return SavedTrack(track, None)


no_files, turned = NoSources(), TurnedSources()


def test_a_timeline_of_every_kind_is_read():
    made = timeline(
        {"kind": "video", "path": "a.mp4", "start_s": 1, "end_s": 3.5, "extrapolation": "loop"},
        {"kind": "track", "path": "b.npz"},
        keys({"at_s": 0, "yaw": 10}, {"at_s": 2, "scale": 1.1, "ease": "linear"}),
        {"kind": "preset", "name": "lively", "duration_s": 3, "seed": 7},
        {"kind": "mix", "parts": [{"kind": "preset", "name": "presenter"}, keys({"at_s": 0, "x": 0.2})]},
        mode="relative",
    )
    assert [type(each).__name__[:-7] for each in made.segments] == ["Video", "Track", "Keys", "Preset", "Mix"]
    assert made.segments[0].path == Path("a.mp4")
    assert isinstance(made.segments[2], KeysSegment)
    assert made.segments[2].keys[1].scale == 1.1
    assert isinstance(made.segments[4], MixSegment)
    assert isinstance(made.segments[4].parts[0], PresetSegment)


def test_paths_are_relative_to_the_file(tmp_path):
    file = tmp_path / "poses.json"
    file.write_text(json.dumps({"format": FORMAT, "segments": [{"kind": "video", "path": "a.mp4"}]}))
    assert read_timeline(file).segments[0].path == tmp_path / "a.mp4"


MISTAKES = [
    ({"segments": []}, "a list of 0"),
    ({"segments": 3}, "segments is 3"),
    ({}, "has no segments"),
    ({"segments": [{"kind": "spin"}]}, "segment 1 has kind spin; give video"),
    ({"segments": [7]}, "segment 1 has kind null"),
    ({"segments": [{"kind": "video"}]}, "segment 1 has no path"),
    ({"segments": [{"kind": "video", "path": 3}]}, "path is 3"),
    (
        {"segments": [{"kind": "video", "path": "a", "start_s": 2, "end_s": 1}]},
        "end_s is 1, start_s is 2; give a later end_s",
    ),
    ({"segments": [keys({"at_s": 0, "yawn": 3})]}, "key 1: no such setting: yawn; did you mean yaw?"),
    ({"segments": [keys({"yaw": 3})]}, "key 1 has no at_s"),
    ({"segments": [keys({"at_s": 0, "yaw": 400})]}, "yaw is 400; give a number from -90 to 90"),
    ({"segments": [keys({"at_s": 0, "yaw": True})]}, "yaw is true"),
    ({"segments": [keys({"at_s": 0, "yaw": float("nan")})]}, "yaw is NaN"),
    ({"segments": [keys({"at_s": 0, "yaw": 10**5000})]}, "a very long number"),
    ({"segments": [keys({"at_s": 1}, {"at_s": 1})]}, "not in the order of at_s"),
    ({"segments": [{"kind": "preset", "name": "livly"}]}, "there is no preset livly; give still"),
    ({"segments": [{"kind": "preset", "name": "still", "seed": 1.5}]}, "seed is 1.5"),
    (
        {"segments": [{"kind": "preset", "name": "still", "extrapolation": "stop"}]},
        "extrapolation is stop; give hold or loop",
    ),
    ({"segments": [{"kind": "preset", "name": "still"}], "mode": "sideways"}, "mode is sideways"),
    ({"segments": [{"kind": "preset", "name": "still"}], "crossfade": 1}, "did you mean cross_fade_s?"),
    ({"format": "pcavs-pose-9", "segments": []}, 'give "format": "pcavs-pose-1"'),
]


@pytest.mark.parametrize(("fields", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_gives_one_line_with_its_place(fields, message):
    with pytest.raises(InputError) as error:
        timeline_from({"format": FORMAT, **fields}, "poses.json", Path())
    assert message in str(error.value)
    assert str(error.value).startswith("poses.json")
    assert "\n" not in str(error.value)


def test_mixes_are_nested_three_deep_at_most():
    deep = {"kind": "preset", "name": "still"}
    for _ in range(5):
        deep = {"kind": "mix", "parts": [deep]}
    with pytest.raises(InputError, match="nested more than 3 deep"):
        timeline(deep)


@pytest.mark.parametrize("name", ["pipe.json", "pipe.npz"])
def test_pipes_are_refused_before_they_are_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe or device, and is read more than once; save it"):
        load_saved(tmp_path / name) if name.endswith("npz") else read_timeline(tmp_path / name)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", "3", "null", '{"format": "pcavs-pose-1"}'])
def test_other_files_are_refused(tmp_path, text):
    file = tmp_path / "poses.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"poses\.json"):
        read_timeline(file)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*PRESETS, "keys"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "segments", "keys", "parts", "at_s", "yaw", "path", "name", "duration_s", "mode"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(json_values)
@settings(max_examples=300)
def test_any_json_is_read_or_refused(value):
    for fields in (value, {"format": FORMAT, "segments": value}, {"format": FORMAT, "segments": [value]}):
        with contextlib.suppress(InputError):
            timeline_from(fields, "poses.json", Path())


angles = st.fixed_dictionaries(
    {"yaw": st.floats(-90, 90), "pitch": st.floats(-60, 60), "roll": st.floats(-60, 60), "x": st.floats(-1, 1)}
)
some_keys = st.lists(angles, min_size=1, max_size=4).map(
    lambda rows: keys(*({"at_s": 0.5 * n, **row} for n, row in enumerate(rows)))
)
some_presets = st.sampled_from(list(PRESETS)).map(lambda name: {"kind": "preset", "name": name})
some_videos = st.sampled_from(["loop", "bounce", "hold"]).map(
    lambda b: {"kind": "video", "path": "a.mp4", "extrapolation": b}
)
simple = some_keys | some_presets | some_videos
some_mixes = st.lists(simple, min_size=1, max_size=3).map(lambda parts: {"kind": "mix", "parts": parts})
segments = st.tuples(simple | some_mixes, st.floats(0.04, 6)).map(lambda pair: {**pair[0], "duration_s": pair[1]})
timelines = st.tuples(
    st.lists(segments, min_size=1, max_size=5), st.floats(0, 2), st.sampled_from(["loop", "bounce", "hold"])
)


@given(timelines, st.integers(1, 400))
@settings(max_examples=60)
def test_a_compiled_track_never_jumps_and_has_the_films_length(made, num_frames):
    laid = timeline(*made[0], cross_fade_s=made[1], extrapolation=made[2])
    track = compile_timeline(laid, num_frames, RHYTHM[:num_frames], turned)
    assert track.shape == (num_frames, 6)
    assert (np.abs(np.diff(track, axis=0)) <= LARGEST_STEP + 1e-9).all()
    assert np.isfinite(track).all()


@given(timelines)
@settings(max_examples=20)
def test_equal_timelines_give_equal_tracks(made):
    first, second = (
        compile_timeline(timeline(*made[0], cross_fade_s=made[1], extrapolation=made[2]), 200, RHYTHM[:200], turned)
        for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_keys_are_reached_at_their_times():
    track = compile_timeline(
        timeline(keys({"at_s": 0}, {"at_s": 1, "yaw": 20, "ease": "linear"}, {"at_s": 2, "yaw": 20, "pitch": -10})),
        75,
        RHYTHM[:75],
        no_files,
    )
    assert track[25, 0] == pytest.approx(20)
    assert track[12, 0] == pytest.approx(20 * (0.48 * 0.48 * (3 - 0.96)), abs=1e-6), "smooth from the first key on"
    assert track[37, 1] == pytest.approx(-10 * 12 / 25, abs=1e-6), "linear from the second key on"
    assert np.allclose(track[50:], track[50])


def test_durations_do_not_drift():
    """A hundred segments of a frame and a quarter: the next begins at 5 s, not after a hundred rounded frames."""
    pieces = [keys({"at_s": 0, "yaw": 0}, duration_s=0.05) for _ in range(100)]
    pieces.append(keys({"at_s": 0, "yaw": 1}))
    track = compile_timeline(timeline(*pieces, cross_fade_s=0), 200, RHYTHM[:200], no_files)
    assert np.flatnonzero(track[:, 0] > 0.999)[0] in range(125, 128)
    assert np.flatnonzero(track[:, 0] > 0)[0] == 125


def test_a_mix_adds_its_weighted_parts():
    both = {
        "kind": "mix",
        "duration_s": 2,
        "parts": [keys({"at_s": 0, "yaw": 4}), keys({"at_s": 0, "yaw": 2}, weight=0.5)],
    }
    track = compile_timeline(timeline(both, strength=2), 25, RHYTHM[:25], no_files)
    assert np.allclose(track[:, 0], 10)


def blinking(**fields):
    """Keys of half-shut eyes that blink after a second."""
    closures = {0: 0.2, 0.96: 0.2, 1.04: 1, 1.16: 0.2, 2.96: 0.2}
    rows = [
        {"at_s": at, "yaw": 10, "left_lid": lid, "right_lid": lid, "ease": "linear"} for at, lid in closures.items()
    ]
    return keys(*rows, **fields)


def lids_of(*segments, **fields):
    face = compile_motion(timeline(*segments, **fields), 75, RHYTHM[:75], no_files).expression
    return face[:, expression.LEFT_LID]


@pytest.mark.parametrize(
    "made",
    [
        lambda: lids_of(blinking(strength=0.5)),
        lambda: lids_of(blinking(), strength=0.5),
        lambda: lids_of({"kind": "mix", "parts": [blinking(weight=0.5), keys({"at_s": 0, "yaw": 1}, weight=0.5)]}),
    ],
)
def test_strengths_and_weights_scale_how_far_lids_are_closed_but_no_blink(made):
    lids = made()
    assert lids[26] == pytest.approx(1)
    assert lids[[10, 60]] == pytest.approx(0.1)


def test_fades_and_smoothing_leave_blinks_whole():
    assert lids_of(blinking(), smoothing_s=0.4)[26] == pytest.approx(1, abs=0.01)
    late = lids_of(blinking(duration_s=1), keys({"at_s": 0, "yaw": -10}, duration_s=2), cross_fade_s=1)
    assert late[24:].max() < 0.3, "a blink that begins after the next segment is not shown"
    soon = lids_of(blinking(duration_s=1.08), keys({"at_s": 0, "yaw": -10}, duration_s=2), cross_fade_s=1)
    assert soon[26] == pytest.approx(1)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_starts_at_zero_and_stays_within_25_degrees(name):
    track = preset(name, RHYTHM, 3)
    assert np.allclose(track[0], 0)
    assert np.abs(track[:, :3]).max() <= 25
    assert np.array_equal(track, preset(name, RHYTHM, 3))
    assert (np.abs(track).max() == 0) == (name == "still")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("num_frames", range(1, 8))
def test_a_preset_may_be_as_short_as_a_frame(name, num_frames):
    assert preset(name, np.ones(num_frames), 0).shape == (num_frames, 6)


def test_seeds_give_different_motion():
    assert not np.array_equal(preset("lively", RHYTHM, 1), preset("lively", RHYTHM, 2))


def test_lively_nods_when_the_speech_is_loud():
    rhythm = np.zeros(200)
    rhythm[100:105] = 1
    quiet, loud = preset("lively", np.zeros(200), 0), preset("lively", rhythm, 0)
    dips = (quiet - loud)[:, 1]
    assert dips.argmax() in range(100, 105)
    assert dips.max() > 3
    assert np.allclose(dips[:90], 0)


def test_the_rhythm_is_the_loudness_of_each_frame():
    mel = np.zeros((80, 4 * 50 + 16), np.float32)
    mel[:, 4 * 20 + 8 : 4 * 30 + 8] = 0.8
    rhythm = rhythm_of(mel, 50)
    assert rhythm[22:29].min() > 0.9
    assert rhythm[:18].max() == 0


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/passwd", "sub/../../a.npz"])
def test_paths_stay_below_the_folder_of_the_timeline(tmp_path, name):
    file = tmp_path / "poses" / "poses.json"
    file.parent.mkdir()
    mix = {"kind": "mix", "parts": [{"kind": "track", "path": name}]}
    file.write_text(json.dumps({"format": FORMAT, "segments": [mix]}))
    with pytest.raises(InputError, match=r"segment 1, part 1: .* lies outside of the folder .*poses; .* add --outside"):
        read_timeline(file)
    assert read_timeline(file, outside=True).segments[0].parts[0].path == file.parent / name
