"""Both runtimes compute the same numbers, and so do both implementations of composing a frame from fields."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from helpers.talkers import random_flow_model, random_paper_model, write_networks
from pcavs.animate.renderer import FieldComposer
from pcavs.models.build import build_model
from pcavs.models.generator import Fields, compose
from pcavs.models.inference import inference_networks
from pcavs.models.state import tensors_of
from pcavs.runtime.base import FaceArrays, FieldArrays, Runtime
from pcavs.runtime.openvino import OpenVinoRuntime, cpu_has_bf16
from pcavs.runtime.torch import TorchRuntime
from pcavs.spec import TINY_FLOW, TINY_PAPER, FlowSpec, TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.export import example_inputs
from pcavs.weights.networks import NETWORKS

SPECS = {
    "tiny": TalkerSpec(flow=TINY_FLOW),
    "default": TalkerSpec(flow=FlowSpec()),
    "tiny paper": TalkerSpec(kind="paper", paper=TINY_PAPER),
}


@pytest.fixture(scope="module", params=SPECS)
def pair(request, tmp_path_factory):
    """One random talker: its torch runtime, its folder of exported networks, its spec."""
    spec = SPECS[request.param]
    talker = random_paper_model(spec.paper) if spec.kind == "paper" else random_flow_model(spec.flow)
    folder = tmp_path_factory.mktemp("talker")
    bundle = Bundle(spec=spec, tensors=tensors_of(talker), provenance={"recipe": "random"}, licence="Apache-2.0")
    save_bundle(bundle, folder / "talker.safetensors")
    networks = write_networks(folder / "talker.safetensors", folder / "talker")
    return TorchRuntime(inference_networks(talker), spec, torch.device("cpu")), networks, spec


@pytest.fixture(scope="module")
def in_f32(pair):
    return OpenVinoRuntime(pair[1], pair[2], "f32")


@pytest.fixture(scope="module")
def torch_outputs(pair):
    return run_all(pair[0], pair[2])


def run_all(runtime, spec):
    """All outputs of a runtime for the same random input: encodings by name, and two rendered frames."""
    rng = np.random.default_rng(0)
    side = spec.sizes.frame_px
    faces = np.stack([smooth_picture(rng, side) for _ in range(5)])
    windows = rng.random((7, 1, 80, 20), dtype=np.float32)
    identity = runtime.encode_identity(faces[0])
    codes = {"pose": runtime.encode_pose(faces), "lips": runtime.encode_lips(faces)}
    codes |= {"speech": runtime.encode_speech(windows), "vector": identity.vector, "own": identity.content}
    codes |= {f"map {index}": each for index, each in enumerate(identity.maps)}
    fields = [runtime.render(identity, codes["speech"][index], codes["pose"][index]) for index in (1, 2)]
    return codes, fields


def smooth_picture(rng, side):
    noise = rng.integers(0, 256, (5, 5, 3)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def largest_differences(first, second):
    largest = {name: float(np.abs(first[0][name] - second[0][name]).max()) for name in first[0]}
    for one, other in zip(first[1], second[1], strict=True):
        largest |= {name: float(np.abs(getattr(one, name) - getattr(other, name)).max()) for name in one._fields}
    return largest


def test_both_follow_the_protocol(pair, in_f32):
    assert isinstance(pair[0], Runtime)
    assert isinstance(in_f32, Runtime)


def test_openvino_in_f32_agrees_with_torch(pair, in_f32, torch_outputs):
    differences = largest_differences(torch_outputs, run_all(in_f32, pair[2]))
    assert max(differences.values()) <= 1e-4, differences


def test_the_random_talker_has_varied_outputs(pair, torch_outputs):
    """Guards the test above: with almost no flow, as of untrained weights, any two runtimes would agree."""
    first, second = torch_outputs[1]
    assert type(first) is (FaceArrays if pair[2].kind == "paper" else FieldArrays)
    if isinstance(first, FieldArrays):
        assert np.abs(first.flow).max() > 0.05
        assert np.ptp(first.mask) > 0.05
    assert np.ptp(first[-1]) > 0.05
    assert np.abs(first[0] - second[0]).max() > 1e-3


@pytest.mark.skipif(not cpu_has_bf16(), reason="this processor does not compute in bf16")
def test_openvino_in_bf16_stays_close(pair, torch_outputs):
    """bf16 has 8 bits of precision. The mean flow may differ by 0.5 % of half the side: less than a pixel of 256.

    Generated faces may differ by five grey levels of 255 on average; random weights use the whole range.
    """
    _, networks, spec = pair
    _, fields = run_all(OpenVinoRuntime(networks, spec, "bf16"), spec)
    for one, other in zip(torch_outputs[1], fields, strict=True):
        if isinstance(one, FaceArrays):
            assert np.abs(one.face - other.face).mean() <= 0.04
            continue
        assert np.abs(one.flow - other.flow).mean() <= 0.005
        assert np.abs(one.flow - other.flow).max() <= 0.05
        assert np.abs(one.mask - other.mask).max() <= 0.05
        assert np.abs(one.colours - other.colours).mean() <= 0.02


def test_equal_input_gives_equal_output(pair):
    _, networks, spec = pair
    runtime = OpenVinoRuntime(networks, spec)
    first, second = run_all(runtime, spec), run_all(runtime, spec)
    assert max(largest_differences(first, second).values()) == 0


def test_rendered_arrays_are_not_changed_by_later_calls(pair, in_f32):
    spec = pair[2]
    rng = np.random.default_rng(1)
    for runtime in (pair[0], in_f32):
        identity = runtime.encode_identity(smooth_picture(rng, spec.sizes.frame_px))
        first = runtime.render(identity, identity.content, identity.pose)
        kept = [each.copy() for each in first]
        runtime.render(identity, -identity.content, identity.pose + 1)
        assert all(np.array_equal(one, other) for one, other in zip(first, kept, strict=True))


def test_another_identity_replaces_the_first(pair, in_f32):
    """The generator's identity inputs are set once a film; a second film must not show the first face."""
    spec = pair[2]
    rng = np.random.default_rng(2)
    faces = [smooth_picture(rng, spec.sizes.frame_px) for _ in range(2)]
    for runtime in (pair[0], in_f32):
        identities = [runtime.encode_identity(face) for face in faces]
        one, other = identities
        frames = [runtime.render(identity, one.content, one.pose)[-1] for identity in (one, other, one)]
        assert not np.allclose(frames[0], frames[1])
        assert np.array_equal(frames[0], frames[2])


def test_any_number_of_faces_and_windows(pair, in_f32):
    runtime, spec = in_f32, pair[2]
    faces = np.zeros((3, spec.sizes.frame_px, spec.sizes.frame_px, 3), np.uint8)
    windows = np.zeros((4, 1, 80, 20), np.float32)
    for count in (1, 3, 2):
        assert runtime.encode_pose(faces[:count]).shape == (count, 12)
    for count in (4, 1):
        assert runtime.encode_speech(windows[:count]).shape == (count, spec.sizes.content_dim)


def test_example_inputs_fit_every_network(pair):
    torch_runtime, _, spec = pair
    networks = inference_networks(build_model(spec))
    with torch.inference_mode():
        for name in NETWORKS:
            assert networks[name](*example_inputs(name, spec)) is not None
    assert torch_runtime.description == "torch cpu f32"


SIDES = (64, 150, 256)


@pytest.mark.parametrize(("side", "strength"), list(itertools.product(SIDES, (0.0, 0.15, 0.6))))
def test_composing_in_numpy_agrees_with_composing_in_torch(side, strength):
    rng = np.random.default_rng(5)
    picture = smooth_picture(rng, side)
    fields = FieldArrays(
        strength * rng.uniform(-1, 1, (2, 1, 1)).astype(np.float32)
        + 0.3 * strength * cv2.resize(rng.normal(0, 1, (4, 4)).astype(np.float32), (32, 32)),
        cv2.resize(rng.random((4, 4), dtype=np.float32), (64, 64)),
        np.stack([cv2.resize(rng.uniform(-1, 1, (4, 4)).astype(np.float32), (64, 64)) for _ in range(3)]),
    )
    ours = FieldComposer(picture).frame(fields).astype(float)
    tensors = Fields(
        torch.from_numpy(fields.flow)[None],
        torch.from_numpy(fields.mask)[None, None],
        torch.from_numpy(fields.colours)[None],
    )
    signed = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    theirs = (compose(signed, tensors)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(ours - theirs).max() <= 3
    assert np.abs(ours - theirs).mean() <= 0.5


def test_no_flow_and_a_full_mask_leave_the_picture_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    still = FieldArrays(
        np.zeros((2, 32, 32), np.float32), np.ones((64, 64), np.float32), np.zeros((3, 64, 64), np.float32)
    )
    assert np.array_equal(FieldComposer(picture).frame(still), picture)


def test_flow_points_to_where_a_pixel_comes_from():
    """A flow of 0.5, a quarter of the side, shows what lies a quarter of the side further to the right."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:24, 40:44] = 255
    flow = np.zeros((2, 32, 32), np.float32)
    flow[0] = 0.5
    moved = FieldComposer(picture).frame(
        FieldArrays(flow, np.ones((64, 64), np.float32), np.zeros((3, 64, 64), np.float32))
    )
    assert moved[20:24, 24:28].min() == 255
    assert moved[:, 40:44].max() == 0
