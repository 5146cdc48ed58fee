"""The speech features agree with CTranslate2's Whisper, whose states `scripts/make_speech_reference.py` stored."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pcavs.media.audio import read_waveform
from pcavs.runtime.features import NETWORK, SpeechFeatures
from pcavs.spec import FeatureSpec

MEAN_ERROR = {"f16": 0.002, "int8": 0.05}
"""Mean absolute error that is allowed; the states' standard deviation is 1.5. Storing them as float16 costs 0.0002."""
MAX_ERROR = {"f16": 0.01, "int8": 0.5}


def layer_norm(states: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = states - states.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5) * gamma + beta


def test_the_states_are_those_of_the_reference(root: Path, examples: Path):
    asset = resources.files("pcavs") / "assets" / "speech"
    if not (asset / NETWORK).is_file():
        pytest.skip("no speech network; scripts/build_speech.py makes it")
    manifest = json.loads((asset / "MANIFEST.json").read_text())
    spec = FeatureSpec(**manifest["spec"])
    with np.load(root / "tests" / "data" / "speech_states.npz") as stored:
        facts = json.loads(str(stored["facts"]))
        wanted, gamma, beta = (stored[name].astype(np.float64) for name in ("states", "gamma", "beta"))
    built = dataclasses.asdict(spec)
    assert {name: built[name] for name in ("model", "blocks", "window_frames")} == {
        name: facts[name] for name in ("model", "blocks", "window_frames")
    }, "run scripts/make_speech_reference.py"
    window = read_waveform(examples / "speech.wav")[facts["start"] : facts["start"] + spec.window_samples]
    features = SpeechFeatures(spec, precision="f32", threads=1)
    states = features.states(window).astype(np.float64)
    made = states if spec.final_norm else layer_norm(states, gamma, beta)
    if len(made) < len(wanted):
        wanted = wanted[spec.group_states]
    error = np.abs(made - wanted)
    assert error.mean() < MEAN_ERROR[manifest["precision"]]
    assert error.max() < MAX_ERROR[manifest["precision"]]
