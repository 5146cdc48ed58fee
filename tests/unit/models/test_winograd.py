"""Tiles give what the plain convolution gives, and the rewritten generator what the plain generator gives."""

import numpy as np
import openvino as ov
import pytest
import torch
from torch.nn import functional

from helpers.talkers import lively_paper
from pcavs.models.fast_paper import FasterFace
from pcavs.models.plain import PlainFace
from pcavs.models.winograd import KERNEL, TILE, WINDOW, Filtering, TiledConv, along_both_axes, window_pixels
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.weights.export import convert, example_inputs

SPEC = TalkerSpec(kind="paper", paper=TINY_PAPER)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_filtering_is_correlation():
    rng = np.random.default_rng(0)
    form = Filtering()
    pixels, taps = rng.normal(size=WINDOW), rng.normal(size=KERNEL)
    ahead, back = (np.linalg.multi_dot(factors) for factors in (form.ahead, form.back))
    made = back @ ((form.kernel @ taps) * (ahead @ pixels))
    assert np.abs(made - np.correlate(pixels, taps, "valid")).max() < 1e-12


def test_sums_are_the_kronecker_product():
    form = Filtering()
    x = torch.randn(WINDOW**2, 5, dtype=torch.float64)
    for factors in (form.ahead, form.back):
        line = np.linalg.multi_dot(factors)
        expected = torch.from_numpy(np.kron(line, line)) @ x[: line.shape[1] ** 2]
        assert torch.allclose(along_both_axes(factors, x[: line.shape[1] ** 2]), expected, atol=1e-12)


def test_windows_reach_one_pixel_beyond_their_tile():
    windows = window_pixels(batch=2, side=8).reshape(WINDOW, WINDOW, 2, 2, 2)
    assert np.array_equal(windows[1:5, 1:5, 0, 0, 0], np.arange(64).reshape(8, 8)[:TILE, :TILE])
    assert np.array_equal(windows[0, :, 0, 0, 0], [128] * WINDOW)  # above the picture
    assert windows[0, 0, 1, 1, 1] == 64 + 3 * 8 + 3  # the second picture's last tile
    assert windows[5, 5, 1, 1, 1] == 128


@pytest.mark.parametrize(("side", "batch", "piece"), [(8, 1, 10**6), (7, 2, 10**6), (30, 2, 5000), (28, 1, 9000)])
def test_tiles_give_the_plain_convolution(side, batch, piece, monkeypatch):
    """Whole and overhanging tiles, one sample and two, one piece and several, the last of them part empty."""
    monkeypatch.setattr("pcavs.models.winograd._PIECE_NUMBERS", piece)
    torch.manual_seed(side)
    x, weight = torch.randn(batch, 9, side, side), torch.randn(5, 9, 3, 3)
    tiled = TiledConv(weight, batch, side)
    assert (tiled.pieces > 1) == (piece < 10**6)
    made = tiled(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    expected = functional.conv2d(x.double(), weight.double(), padding=1)
    assert (made - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("least_side", [28, 4, 1000])
def test_the_rewritten_generator_paints_the_same_face(batch, least_side, monkeypatch):
    monkeypatch.setattr("pcavs.models.fast_paper.LEAST_TILED_PX", least_side)
    talker = lively_paper(TINY_PAPER)
    inputs = example_inputs("generator", SPEC, batch)
    for bounded in (True, False):
        plain = PlainFace(talker.generator, bounded=bounded)(*inputs)
        faster = FasterFace(talker.generator, batch, bounded=bounded)(*inputs)
        assert (faster - plain).abs().max() < 1e-5
    assert plain.std() > 0.1


@pytest.mark.parametrize("batch", [1, 2])
def test_what_is_exported_is_the_rewritten_one_and_equal(batch):
    talker = lively_paper(TINY_PAPER)
    plain = PlainFace(talker.generator, bounded=False)
    inputs = example_inputs("generator", SPEC, batch)
    model = convert(plain, inputs)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("Convolution") < 1 + len(talker.generator.synthesis.levels)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    made = compiled([each.numpy() for each in inputs])[0]
    assert np.abs(made - plain(*inputs).numpy()).max() < 1e-5


def test_no_row_of_zeros_is_copied_at_run_time():
    """OpenVINO gives zeros for rows behind the last; the copy that torch needs would cost a pass over all features."""
    model = convert(PlainFace(lively_paper(TINY_PAPER).generator), example_inputs("generator", SPEC))
    gathered = [node.input_value(0).get_node() for node in model.get_ops() if node.get_type_name() == "Gather"]
    assert gathered
    for source in gathered:
        last = source.input_value(source.get_input_size() - 1).get_node()
        assert source.get_type_name() != "Concat" or last.get_type_name() != "Constant"
