"""The ComfyUI node, run by a stand-in for ComfyUI: films, settings, cancelling, bad inputs, and the pack's files."""

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.comfy import (
    PACK,
    Comfy,
    InterruptProcessingException,
    Link,
    ValidationError,
    VideoFromFile,
    load_audio,
    load_image,
)
from helpers.sounds import write_noise
from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.pose.track import save_track, still

NODE = "PCAVS_TalkingPhoto"
WORKFLOW = json.loads((PACK / "example_workflows" / "photo_and_voice.json").read_text())
FRAMES = 10


@pytest.fixture(scope="module")
def photo(composite):
    return load_image(composite)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return load_audio(write_noise(tmp_path_factory.mktemp("voice") / "voice.wav", 0.4))


@pytest.fixture(scope="module")
def started(tmp_path_factory, tiny_networks):
    """ComfyUI with the pack, whose talker is loaded once for all tests."""
    comfy = Comfy(tmp_path_factory.mktemp("comfy"))
    (comfy.folder / "models" / "pcavs").rmdir()
    (comfy.folder / "models" / "pcavs").symlink_to(tiny_networks.parent)
    with pytest.MonkeyPatch.context() as patched:
        for name, module in comfy.modules().items():
            patched.setitem(sys.modules, name, module)
        comfy.pack = comfy.load()
        yield comfy


@pytest.fixture
def comfy(started):
    """The same, as if just started, with its input and temp folders empty."""
    started.reset()
    return started


@pytest.fixture
def run(comfy, photo, voice):
    """Runs the node with the tiny talker."""

    def run(**inputs):
        return comfy.run(NODE, **{"photo": photo, "voice": voice, "weights": "tiny"} | inputs)

    return run


def test_film_and_frames(comfy, run):
    film, frames = run(pose="lively", size=64)
    assert frames.shape == (FRAMES, 64, 64, 3)
    decoded = np.stack(list(read_frames(Path(film.get_stream_source()))))
    assert decoded.shape == (FRAMES, 64, 64, 3)
    assert np.abs(decoded - frames.numpy() * 255).mean() < 8
    assert np.abs(read_waveform(Path(film.get_stream_source()))).max() > 0.1
    shares = [value / most for value, most in comfy.progress]
    assert shares == sorted(shares)
    assert len(shares) >= FRAMES
    assert shares[-1] == 1


def test_talker_is_loaded_once(comfy, run):
    comfy.pack._load.cache_clear()
    for degrees in (10, -10):
        run(pose=f"yaw={degrees}", size=64)
    assert comfy.executions == 2
    assert comfy.pack._load.cache_info().misses == 1


def test_nothing_is_run_again_unless_a_file_changes(comfy, run):
    track = comfy.folder / "input" / "track.npz"
    save_track(still(5), np.ones(5, bool), track, overwrite=False)
    first = run(pose="track.npz", size=64)
    assert run(pose="track.npz", size=64) is first
    save_track(still(6), np.ones(6, bool), track, overwrite=True)
    assert run(pose="track.npz", size=64) is not first


def test_sources_of_head_motion(run, comfy, drift):
    ahead = run(pose="yaw=0", size=64)[1]
    timeline = {"format": "pcavs-pose-1", "segments": [{"kind": "keys", "keys": [{"at_s": 0, "yaw": 25}]}]}
    for given in ({"pose": json.dumps(timeline)}, {"head": VideoFromFile(str(drift))}):
        assert (run(size=64, **given)[1] - ahead).abs().max() > 0.02


def test_settings_may_come_from_other_nodes(run):
    """They are None until the node runs: what checks and compares inputs must not fail on that."""
    assert run(pose=Link("yaw=0"), weights=Link("tiny"), size=64)[1].equal(run(pose="yaw=0", size=64)[1])
    with pytest.raises(InputError, match="there is no pose named lifely"):
        run(pose=Link("lifely"))


def test_only_the_first_frame(run):
    film, frames = run(all_frames=False, size=64)
    assert len(frames) == 1
    assert len(list(read_frames(Path(film.get_stream_source())))) == FRAMES


@pytest.mark.parametrize("reports", [1, 4])
def test_cancel_leaves_no_film(comfy, run, reports):
    comfy.cancel_after = reports
    with pytest.raises(InterruptProcessingException):
        run(size=64)
    assert list((comfy.folder / "temp").iterdir()) == []
    comfy.cancel_after = None
    assert len(run(size=64)[1]) == FRAMES


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"pose": "lifely"}, "there is no pose named lifely; give degrees, a file, or one of still"),
        ({"pose": "../comfy.mp4"}, "lies outside of the input folder"),
        ({"pose": "head.mp4"}, "there is no head.mp4 in the input folder"),
        ({"weights": "other"}, "there is no other in models/pcavs"),
        ({"articulation": 3.0}, "bigger than max"),
        ({"look": "away"}, "not in list"),
    ],
)
def test_refused_before_anything_runs(comfy, run, inputs, message):
    with pytest.raises(ValidationError, match=message) as raised:
        run(**inputs)
    assert "\n" not in str(raised.value)
    assert comfy.executions == 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"photo": torch.zeros(1, 64, 64, 3)}, "face"),
        ({"photo": torch.zeros(64, 64, 3)}, "photo has the shape"),
        ({"voice": {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}}, "voice has the shape"),
        ({"voice": {"waveform": torch.zeros(2, 1, 9), "sample_rate": 16000}}, "connect one recording"),
        ({"size": 33}, "a size of 33 cannot be used"),
        ({"pose": "yaw=left"}, "yaw"),
        ({"pose": '{"format": '}, "not JSON"),
        ({"pose": '{"segments": [{"kind": "video", "path": "a.mp4"}]}'}, "save it to the input folder"),
    ],
)
def test_bad_inputs_are_one_line(run, inputs, message):
    with pytest.raises(InputError, match=message) as raised:
        run(**inputs)
    assert "\n" not in str(raised.value)


def test_two_head_motions_are_refused(run, drift):
    with pytest.raises(InputError, match="disconnect head"):
        run(pose="lively", head=VideoFromFile(str(drift)))


def test_workflow_fits_the_node_and_runs(comfy, run):
    node = next(each for each in WORKFLOW["nodes"] if each["type"] == NODE)
    schema = comfy.nodes[NODE].define_schema()
    sockets = [each for each in schema.inputs if not each.is_widget]
    assert [(each["name"], each["type"]) for each in node["inputs"]] == [(each.id, each.io_type) for each in sockets]
    assert [(each["name"], each["type"]) for each in node["outputs"]] == [
        (each.display_name, each.io_type) for each in schema.outputs
    ]
    names = [each.id for each in schema.inputs if each.is_widget]
    settings = dict(zip(names, node["widgets_values"], strict=True))
    assert len(run(**settings | {"weights": "tiny", "size": 64})[1]) == FRAMES


def test_links_of_the_workflow_join_equal_types():
    nodes = {each["id"]: each for each in WORKFLOW["nodes"]}
    for number, source, output, target, input_, kind in WORKFLOW["links"]:
        start, end = nodes[source]["outputs"][output], nodes[target]["inputs"][input_]
        assert start["type"] == end["type"] == kind
        assert end["link"] == number
        assert number in start["links"]


def test_the_pack_is_ready_for_the_registry(root):
    facts = tomllib.loads((PACK / "pyproject.toml").read_text())
    own = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert facts["project"]["version"] == own["version"]
    assert facts["project"]["requires-python"] == own["requires-python"]
    assert facts["project"]["dependencies"] == (PACK / "requirements.txt").read_text().splitlines()
    assert "comfyui" not in facts["project"]["name"]
    assert set(facts["tool"]["comfy"]) == {"PublisherId", "DisplayName"}
