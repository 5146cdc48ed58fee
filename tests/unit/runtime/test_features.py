"""Speech features: the encoder's arithmetic, the reader of its weights, and what their windows promise."""

import dataclasses
import math
import struct
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from build_speech import build_network, main, parse, quantise, write
from helpers.sounds import write_noise
from pcavs.errors import WeightsError
from pcavs.media.audio import read_waveform
from pcavs.media.log_mel import log_mel
from pcavs.media.speech import FeatureStream, Speech
from pcavs.media.timeline import count_frames, count_groups
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import FeatureSpec, MelSpec

SPEC = FeatureSpec(model="tiny.en", blocks=2, window_frames=10, hop_frames=3, look_ahead_frames=2)
DIM, HEADS = SPEC.dim, 6


def random_tensors() -> dict[str, np.ndarray]:
    """Draws weights of two blocks, of the sizes of tiny.en, as float16."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float16)

    def layer(name: str, *shape: int) -> dict[str, np.ndarray]:
        return {f"{name}/weight": draw(*shape), f"{name}/bias": 0.1 * draw(shape[0], 1)[:, 0]}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}/gamma": 1 + 0.1 * draw(DIM, 1)[:, 0], f"{name}/beta": 0.1 * draw(DIM, 1)[:, 0]}

    tensors = {"num_heads": np.array(HEADS, np.int16), "position_encodings/encodings": draw(1500, DIM)}
    tensors |= layer("conv1", DIM, 80, 3) | layer("conv2", DIM, DIM, 3) | norm("layer_norm")
    for block in range(2):
        for name, rows, columns in (
            ("self_attention/linear_0", 3 * DIM, DIM),
            ("self_attention/linear_1", DIM, DIM),
            ("ffn/linear_0", 4 * DIM, DIM),
            ("ffn/linear_1", DIM, 4 * DIM),
        ):
            tensors |= layer(f"layer_{block}/{name}", rows, columns)
        tensors |= norm(f"layer_{block}/self_attention/layer_norm") | norm(f"layer_{block}/ffn/layer_norm")
    return tensors


TENSORS = random_tensors()


def encode(mel: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Computes the states of the published encoder, step by step in float64."""
    weights = {name: value.astype(np.float64) for name, value in TENSORS.items()}
    erf = np.vectorize(math.erf)

    def gelu(x: np.ndarray) -> np.ndarray:
        return x * (1 + erf(x / math.sqrt(2))) / 2

    def convolve(x: np.ndarray, name: str, stride: int) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (1, 1)))
        columns = [padded[:, at : at + 3] for at in range(0, x.shape[1], stride)]
        made = np.stack([np.einsum("oik,ik->o", weights[f"{name}/weight"], column) for column in columns], axis=1)
        return gelu(made + weights[f"{name}/bias"][:, None])

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}/weight"].T + weights[f"{name}/bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    x = convolve(convolve(mel.astype(np.float64), "conv1", 1), "conv2", 2).T
    x = x + weights["position_encodings/encodings"][: len(x)]
    for block in range(spec.blocks):
        attention, feed = f"layer_{block}/self_attention", f"layer_{block}/ffn"
        joined = linear(norm(x, f"{attention}/layer_norm"), f"{attention}/linear_0")
        heads = []
        for head in range(HEADS):
            query, key, value = (joined[:, part * DIM + 64 * head :][:, :64] for part in range(3))
            score = np.exp(query @ key.T / 8)
            heads.append(score / score.sum(axis=1, keepdims=True) @ value)
        x = x + linear(np.concatenate(heads, axis=1), f"{attention}/linear_1")
        x = x + linear(gelu(linear(norm(x, f"{feed}/layer_norm"), f"{feed}/linear_0")), f"{feed}/linear_1")
    return norm(x, "layer_norm") if spec.final_norm else x


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights that outputs all states of its window."""
    folder = tmp_path_factory.mktemp("speech")
    write(build_network(TENSORS, SPEC, "f16"), SPEC, "f16", folder)
    return folder


@pytest.fixture(scope="module")
def features(folder: Path) -> SpeechFeatures:
    return SpeechFeatures(SPEC, folder, "f32", threads=1)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("noise") / "noise.wav", 1.7)


@pytest.mark.parametrize("final_norm", [False, True])
@pytest.mark.parametrize("blocks", [1, 2])
def test_the_network_computes_the_published_encoder(tmp_path: Path, noise: Path, blocks: int, final_norm: bool):
    spec = dataclasses.replace(SPEC, blocks=blocks, final_norm=final_norm)
    window = read_waveform(noise)[: spec.window_samples]
    wanted = encode(log_mel(window), spec)
    assert wanted.std() > 0.5
    for precision, tolerance in (("f16", 2e-4), ("int8", 0.2)):
        write(build_network(TENSORS, spec, precision), spec, precision, tmp_path)
        made = SpeechFeatures(spec, tmp_path, "f32", threads=1).states(window)
        assert made.shape == (spec.window_states, DIM)
        np.testing.assert_allclose(made, wanted, atol=tolerance)


def test_a_network_of_the_group_alone_gives_the_same_states(tmp_path: Path, features: SpeechFeatures, noise: Path):
    write(build_network(TENSORS, SPEC, "f16", group_only=True), SPEC, "f16", tmp_path)
    window = read_waveform(noise)[: SPEC.window_samples]
    alone = SpeechFeatures(SPEC, tmp_path, "f32", threads=1)
    (states,) = alone.groups([window])
    assert states.shape == (2 * SPEC.hop_frames, DIM)
    np.testing.assert_allclose(states, features.states(window)[SPEC.group_states], atol=1e-4)
    with pytest.raises(WeightsError, match=r"built for hop_frames 3 instead of 4; run scripts/build_speech\.py"):
        SpeechFeatures(dataclasses.replace(SPEC, hop_frames=4), tmp_path)


def test_states_do_not_depend_on_order_or_number_of_windows(features: SpeechFeatures, folder: Path, noise: Path):
    speech = Speech(noise, 0.0, None, MelSpec())
    groups = range(count_groups(count_frames(speech.stats.num_samples), SPEC))
    whole = list(features.groups(FeatureStream(speech, SPEC).windows(groups)))
    again = SpeechFeatures(SPEC, folder, "f32", threads=1)
    for group in reversed(groups):
        (states,) = again.groups(FeatureStream(speech, SPEC).windows([group]))
        np.testing.assert_array_equal(states, whole[group])


def test_a_network_for_other_features_is_refused(folder: Path, tmp_path: Path, features: SpeechFeatures):
    # All states leave this network, so another group within the same window can be read from it.
    SpeechFeatures(dataclasses.replace(SPEC, hop_frames=1, look_ahead_frames=5), folder)
    with pytest.raises(WeightsError, match="built for blocks 2 instead of 3"):
        SpeechFeatures(dataclasses.replace(SPEC, blocks=3), folder)
    with pytest.raises(WeightsError, match="built for window_frames 10 instead of 12"):
        SpeechFeatures(dataclasses.replace(SPEC, window_frames=12), folder)
    with pytest.raises(WeightsError, match=r"speech\.xml is missing"):
        SpeechFeatures(SPEC, tmp_path)
    (tmp_path / "speech.xml").write_text("no network")
    with pytest.raises(WeightsError, match="cannot be loaded by OpenVINO"):
        SpeechFeatures(SPEC, tmp_path)
    with pytest.raises(ValueError, match="100 samples; the features have windows of 6400"):
        features.states(np.zeros(100, np.float32))


def test_a_spec_whose_window_is_too_short_is_refused():
    with pytest.raises(ValueError, match="window_frames must be at least"):
        FeatureSpec(window_frames=4)
    with pytest.raises(ValueError, match="must be at least 1"):
        FeatureSpec(hop_frames=0)


def test_weights_in_the_format_of_ctranslate2_are_read():
    matrix = np.arange(6, dtype=np.float16).reshape(2, 3)

    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    def variable(text: str, values: np.ndarray, dtype: int) -> bytes:
        shape = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        return name(text) + shape + struct.pack("<BI", dtype, values.nbytes) + values.tobytes()

    heads = np.array(6, np.int16)
    data = struct.pack("<I", 6) + name("WhisperSpec") + struct.pack("<II", 3, 2)
    data += variable("encoder/matrix", matrix, 4) + variable("encoder/num_heads", heads, 2) + struct.pack("<I", 0)
    tensors = parse(data)
    assert list(tensors) == ["encoder/matrix", "encoder/num_heads"]
    np.testing.assert_array_equal(tensors["encoder/matrix"], matrix)
    assert tensors["encoder/num_heads"] == 6
    with pytest.raises(SystemExit, match="have version 7"):
        parse(struct.pack("<I", 7))


def test_int8_weights_err_by_half_a_step():
    weight = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    integers, scale = quantise(weight)
    assert integers.dtype == np.int8
    np.testing.assert_array_equal(scale, scale.astype(np.float16))
    largest = np.abs(weight).max(axis=(1, 2), keepdims=True)
    assert (np.abs(integers * scale - weight) <= 0.51 * scale + 0.001 * largest).all()


def test_the_same_bytes_are_written_each_time_and_small(folder: Path, tmp_path: Path):
    for name in ("one", "other"):
        write(build_network(TENSORS, SPEC, "int8"), SPEC, "int8", tmp_path / name)
    assert (tmp_path / "one/speech.bin").read_bytes() == (tmp_path / "other/speech.bin").read_bytes()
    assert (tmp_path / "one/MANIFEST.json").read_bytes().count(b"sha256") == 3
    assert (tmp_path / "one/speech.bin").stat().st_size < 0.6 * (folder / "speech.bin").stat().st_size
    assert ov.Core().read_model(tmp_path / "one/speech.xml").input(0).shape == [1, 80, SPEC.window_bins]


def test_more_blocks_than_the_model_has_are_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--model", "tiny.en", "--blocks", "5"])
    assert "--blocks must be 1 to 4 for tiny.en" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--window-frames", "4"])
    assert "window_frames must be at least" in capsys.readouterr().err
