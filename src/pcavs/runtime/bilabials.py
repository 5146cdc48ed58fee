"""Hears m, b and p in speech features: the sounds in which the lips meet.

The content space of a talker is learnt from the lips of few people, and holds few closures. These sounds are therefore
heard by a network of their own, which was trained on many synthetic voices and on recordings with known phonemes
(`scripts/train_bilabials.py`, docs/decisions/0023).
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.runtime.openvino import compile_speech_network, cpu_settings, read_speech_network
from pcavs.spec import FlowSpec
from pcavs.vino import ov

NETWORK: Final = "bilabials.xml"
"""File name of the network."""


class BilabialDetector:
    """The network; equal states give equal probabilities on one machine.

    Args:
        folder: Holds `bilabials.xml` and `bilabials.bin`; None is the package's own.

    Raises:
        WeightsError: The network is missing or cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        network = read_speech_network(folder, NETWORK, "scripts/train_bilabials.py")
        self.trained_on = {name: _fact(network, name) for name in ("model", "blocks", "final_norm")}
        """Names of the `FeatureSpec` and its values, as text, whose states it takes."""
        self.past_states = int(_fact(network, "past_states"))
        """States before a frame's own that the network takes."""
        self.future_states = network.input(0).shape[1] - 1 - self.past_states
        """States after a frame's own."""
        self._network = compile_speech_network(folder, NETWORK, network, cpu_settings("f32", 1))

    def probabilities(self, states: Float32[np.ndarray, "time states dim"]) -> Float32[np.ndarray, " time"]:
        """Returns for each frame the probability that it lies in m, b or p.

        Args:
            states: `past_states` before the frame's own state, that state, and `future_states` after it.
        """
        # One at a time, so that the result for a frame does not depend on the others.
        return np.array([self._network([window[None]])[0][0] for window in states], np.float32)


def _fact(network: ov.Model, name: str) -> str:
    return network.get_rt_info(["bilabials", name]).astype(str)


def load_bilabials(flow: FlowSpec) -> BilabialDetector | None:
    """Loads the package's network; returns None for talkers that hear other features, or fewer states of them."""
    if flow.features is None:
        return None
    detector = BilabialDetector()
    heard = {name: str(getattr(flow.features, name)) for name in detector.trained_on}
    enough = flow.past_states >= detector.past_states and flow.future_states >= detector.future_states
    return detector if heard == detector.trained_on and enough else None
