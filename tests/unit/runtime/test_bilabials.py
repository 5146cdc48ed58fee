"""m, b and p are heard in the package's speech features, and nothing is heard of them in vowels and silence."""

import dataclasses
import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pcavs.data.pack import STATE_MARGIN_FRAMES
from pcavs.data.states import clip_states
from pcavs.errors import InputError, WeightsError
from pcavs.evaluate.phonemes import bilabials
from pcavs.media.timeline import count_frames
from pcavs.runtime.bilabials import NETWORK, BilabialDetector, load_bilabials
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ, FeatureSpec, FlowSpec
from pcavs.synth.speech import Voice, speak
from pcavs.types import Waveform

FLOW = FlowSpec(features=FeatureSpec())


@pytest.fixture(scope="module")
def detector() -> BilabialDetector:
    return BilabialDetector()


@pytest.fixture(scope="module")
def features() -> SpeechFeatures:
    return SpeechFeatures(FeatureSpec(), threads=1)


def heard(detector: BilabialDetector, features: SpeechFeatures, waveform: Waveform) -> np.ndarray:
    """The probability of every frame of some sound."""
    num_frames = count_frames(len(waveform))
    states = clip_states(features, waveform, num_frames).astype(np.float32)
    own = 2 * (STATE_MARGIN_FRAMES + np.arange(num_frames))
    around = np.arange(-detector.past_states, detector.future_states + 1)
    return detector.probabilities(states[own[:, None] + around])


def test_silence_has_none(detector: BilabialDetector, features: SpeechFeatures) -> None:
    probabilities = heard(detector, features, np.zeros(2 * SAMPLE_RATE_HZ, np.float32))
    assert probabilities.shape == (50,)
    assert probabilities.max() < 0.5


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-us", "My mother bought a map and a big blue pen, but Peter may pay for a pump."),
        ("ro", "Mama pune pe masa mare un pahar cu apa buna."),
    ],
)
def test_they_are_heard_in_voices_that_it_was_not_trained_on(
    detector: BilabialDetector, features: SpeechFeatures, language: str, text: str
) -> None:
    try:
        utterance = speak(text, Voice(language=language, variant="f3"))
    except InputError as error:
        pytest.skip(str(error))
    found = heard(detector, features, utterance.waveform) > 0.5
    times_s = np.arange(len(found)) / FRAME_RATE
    spans = bilabials(utterance.phonemes)
    hits = [found[(times_s >= start - 0.04) & (times_s <= end + 0.04)].any() for start, end in spans]
    far = np.all([(times_s < start - 0.09) | (times_s > end + 0.09) for start, end in spans], axis=0)
    assert len(spans) >= 7
    assert np.mean(hits) >= 0.85
    assert found[far].mean() <= 0.1


def test_a_frame_does_not_depend_on_the_others(detector: BilabialDetector) -> None:
    states = np.random.default_rng(0).normal(size=(5, 21, 384)).astype(np.float32)
    together = detector.probabilities(states)
    assert np.array_equal(together[3:4], detector.probabilities(states[3:4]))


def test_it_serves_the_features_that_it_was_trained_on() -> None:
    assert load_bilabials(FLOW) is not None
    assert load_bilabials(FlowSpec()) is None
    assert load_bilabials(FlowSpec(features=FeatureSpec(blocks=3))) is None
    assert load_bilabials(dataclasses.replace(FLOW, state_context=((1, 1),))) is None
    assert load_bilabials(FlowSpec(features=FeatureSpec(hop_frames=2))) is not None, "windows may differ"


def test_a_missing_or_damaged_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is missing"):
        BilabialDetector(tmp_path)
    (tmp_path / NETWORK).write_text("<net>")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        BilabialDetector(tmp_path)


def test_the_files_are_those_of_the_manifest() -> None:
    """Also protects the network of speech features."""
    folder = resources.files("pcavs") / "assets" / "speech"
    files = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
    assert set(files) == {"speech.xml", "speech.bin", "bilabials.xml", "bilabials.bin"}
    for name, about in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"], name
