"""Released weights: means of checkpoints, and a speech encoder from another run."""

from pathlib import Path

import numpy as np
import pytest

from helpers.talkers import write_bundle
from pcavs.spec import TINY_FLOW, FlowSpec
from pcavs.weights.bundle import load_bundle
from release_weights import mean_of, with_speech_of


def test_the_speech_encoder_of_another_run_replaces_the_first(tmp_path: Path):
    first, other = (load_bundle(write_bundle(tmp_path / f"{seed}.safetensors", seed=seed)) for seed in (0, 1))
    joined = with_speech_of(mean_of([first]), other)
    assert joined.tensors.keys() == first.tensors.keys()
    for name, value in joined.tensors.items():
        wanted = other if name.startswith("speech.") else first
        np.testing.assert_array_equal(value, wanted.tensors[name], err_msg=name)


def test_a_speech_encoder_of_another_size_is_refused(tmp_path: Path):
    first = load_bundle(write_bundle(tmp_path / "a.safetensors"))
    wider = FlowSpec(**{**TINY_FLOW.__dict__, "content_dim": 32})
    other = load_bundle(write_bundle(tmp_path / "b.safetensors", wider))
    with pytest.raises(SystemExit, match="another spec"):
        with_speech_of(first, other)
