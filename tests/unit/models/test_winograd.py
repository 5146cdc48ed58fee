"""Winograd convolution equals direct convolution, and the fast generator equals the published form."""

import numpy as np
import openvino as ov
import pytest
import torch
from torch.nn import functional

from helpers.talkers import random_paper_model
from pcavs.models.fast_paper import FastFaceNetwork
from pcavs.models.inference import FaceNetwork
from pcavs.models.winograd import KERNEL, TILE, WINDOW, MinimalFilter, WinogradConv, transform_2d, window_pixels
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.weights.export import convert, example_inputs

SPEC = TalkerSpec(kind="paper", paper=TINY_PAPER)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_minimal_filter_is_correlation():
    rng = np.random.default_rng(0)
    form = MinimalFilter()
    pixels, taps = rng.normal(size=WINDOW), rng.normal(size=KERNEL)
    inputs, outputs = (np.linalg.multi_dot(factors) for factors in (form.input_factors, form.output_factors))
    result = outputs @ ((form.kernel_transform @ taps) * (inputs @ pixels))
    assert np.abs(result - np.correlate(pixels, taps, "valid")).max() < 1e-12


def test_transform_2d_is_the_kronecker_product():
    form = MinimalFilter()
    x = torch.randn(WINDOW**2, 5, dtype=torch.float64)
    for factors in (form.input_factors, form.output_factors):
        line = np.linalg.multi_dot(factors)
        expected = torch.from_numpy(np.kron(line, line)) @ x[: line.shape[1] ** 2]
        assert torch.allclose(transform_2d(factors, x[: line.shape[1] ** 2]), expected, atol=1e-12)


def test_windows_extend_one_pixel_beyond_their_tile():
    windows = window_pixels(batch=2, side=8).reshape(WINDOW, WINDOW, 2, 2, 2)
    assert np.array_equal(windows[1:5, 1:5, 0, 0, 0], np.arange(64).reshape(8, 8)[:TILE, :TILE])
    assert np.array_equal(windows[0, :, 0, 0, 0], [128] * WINDOW)  # above the image
    assert windows[0, 0, 1, 1, 1] == 64 + 3 * 8 + 3  # the second image's last tile
    assert windows[5, 5, 1, 1, 1] == 128


@pytest.mark.parametrize(
    ("side", "batch", "chunk_values"), [(8, 1, 10**6), (7, 2, 10**6), (30, 2, 5000), (28, 1, 9000)]
)
def test_winograd_equals_direct_convolution(side, batch, chunk_values, monkeypatch):
    """Tiles that end at the edge or beyond it, one sample and two, one chunk and several, the last partly empty."""
    monkeypatch.setattr("pcavs.models.winograd._CHUNK_VALUES", chunk_values)
    torch.manual_seed(side)
    x, weight = torch.randn(batch, 9, side, side), torch.randn(5, 9, 3, 3)
    conv = WinogradConv(weight, batch, side)
    assert (conv.chunks > 1) == (chunk_values < 10**6)
    result = conv(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    expected = functional.conv2d(x.double(), weight.double(), padding=1)
    assert (result - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("min_side", [28, 4, 1000])
def test_fast_generator_renders_the_same_face(batch, min_side, monkeypatch):
    monkeypatch.setattr("pcavs.models.fast_paper.MIN_WINOGRAD_PX", min_side)
    talker = random_paper_model(TINY_PAPER)
    inputs = example_inputs("generator", SPEC, batch)
    for bounded in (True, False):
        plain = FaceNetwork(talker.generator, bounded=bounded)(*inputs)
        faster = FastFaceNetwork(talker.generator, batch, bounded=bounded)(*inputs)
        assert (faster - plain).abs().max() < 1e-5
    assert plain.std() > 0.1


@pytest.mark.parametrize("batch", [1, 2])
def test_the_export_uses_the_fast_generator(batch):
    talker = random_paper_model(TINY_PAPER)
    plain = FaceNetwork(talker.generator, bounded=False)
    inputs = example_inputs("generator", SPEC, batch)
    model = convert(plain, inputs)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("Convolution") < 1 + len(talker.generator.synthesis.levels)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    face = compiled([each.numpy() for each in inputs])[0]
    assert np.abs(face - plain(*inputs).numpy()).max() < 1e-5


def test_the_export_appends_no_row_of_zeros():
    """OpenVINO reads zeros after the last row; appending them, as torch needs, would copy all features."""
    model = convert(FaceNetwork(random_paper_model(TINY_PAPER).generator), example_inputs("generator", SPEC))
    gathered = [node.input_value(0).get_node() for node in model.get_ops() if node.get_type_name() == "Gather"]
    assert gathered
    for source in gathered:
        last = source.input_value(source.get_input_size() - 1).get_node()
        assert source.get_type_name() != "Concat" or last.get_type_name() != "Constant"
