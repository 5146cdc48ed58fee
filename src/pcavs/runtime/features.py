"""Computes speech features with the pretrained encoder that the package contains, on the CPU with OpenVINO.

The network is made by `scripts/build_speech.py`. Each window of sound is computed alone, so features depend neither on
how the sound is cut into pieces nor on how many windows are requested at once.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.errors import WeightsError
from pcavs.media.log_mel import log_mel
from pcavs.runtime.base import Bilabials, Features
from pcavs.runtime.bilabials import load_bilabials
from pcavs.runtime.openvino import (
    Precision,
    compile_speech_network,
    cpu_has_bf16,
    cpu_settings,
    read_speech_network,
)
from pcavs.spec import STATES_PER_FRAME, FeatureSpec, TalkerSpec
from pcavs.types import States, Waveform
from pcavs.vino import ov

NETWORK: Final = "speech.xml"
"""File name of the network."""
_SCRIPT: Final = "scripts/build_speech.py"
"""The script that makes it."""


class SpeechFeatures:
    """The pretrained speech encoder; equal windows give equal states on one machine.

    Args:
        spec: Model and windows, for which the network must have been built.
        folder: Holds `speech.xml` and `speech.bin`; None is the package's own.
        precision: Arithmetic of the network.
        threads: Number of threads; 0 uses all processors.
        bilabials: Hears m, b and p in the states; None if they are not asked for.

    Raises:
        WeightsError: The network is missing, cannot be read, or was built for another spec.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        folder: Path | None = None,
        precision: Precision = "auto",
        threads: int = 0,
        bilabials: Bilabials | None = None,
    ) -> None:
        if precision == "auto":
            precision = "bf16" if cpu_has_bf16() else "f32"
        self.spec = spec
        network = _read(folder, spec)
        self._outputs_window = network.output(0).shape[1] == spec.window_states
        self._network = compile_speech_network(folder, NETWORK, network, cpu_settings(precision, threads))
        self.bilabials = bilabials

    def states(self, waveform: Waveform) -> States:
        """Computes the states of one window of `spec.window_samples` samples; state i is centred at sample 320 i.

        A network built with `--group-only` gives the states of the window's group alone.
        """
        if len(waveform) != self.spec.window_samples:
            raise ValueError(f"{len(waveform)} samples; the features have windows of {self.spec.window_samples}")
        with self._network.request() as request:
            request.set_input_tensor(ov.Tensor(log_mel(waveform)[None]))
            request.infer()
            return np.array(request.get_output_tensor().data[0])

    def groups(self, windows: Iterable[Waveform]) -> Iterator[States]:
        """Yields the states of each window's group, two for each of its frames, one window at a time."""
        for window in windows:
            states = self.states(window)
            yield states[self.spec.group_states] if self._outputs_window else states


class HopFeatures:
    """The same encoder with smaller groups, for which it need not look so far ahead; it is run once for each group.

    A group's states are those that the network gives for the last frames of its own group.

    Args:
        features: The encoder.
        hop_frames: Frames of a group; no more than those of `features`.
    """

    def __init__(self, features: Features, hop_frames: int) -> None:
        self._features = features
        self.spec = dataclasses.replace(features.spec, hop_frames=hop_frames)
        self.bilabials = features.bilabials

    def groups(self, windows: Iterable[Waveform]) -> Iterator[States]:
        """Yields the states of each window's group, two for each of its frames, one window at a time."""
        for states in self._features.groups(windows):
            yield states[-self.spec.hop_frames * STATES_PER_FRAME :]


def load_features(spec: TalkerSpec, threads: int = 0) -> SpeechFeatures | None:
    """Loads what a talker's speech encoder hears; returns None for talkers that hear mel windows.

    Raises:
        WeightsError: The package's network is missing, or was built for other features.
    """
    if spec.kind != "flow" or spec.flow.features is None:
        return None
    return SpeechFeatures(spec.flow.features, threads=threads, bilabials=load_bilabials(spec.flow))


def _read(folder: Path | None, spec: FeatureSpec) -> ov.Model:
    """Reads the network and checks that it was built for `spec`."""
    network = read_speech_network(folder, NETWORK, _SCRIPT)
    wanted = {name: str(value) for name, value in dataclasses.asdict(spec).items()}
    if network.output(0).shape[1] == spec.window_states:
        # All states leave the network, so it serves any group within the window.
        del wanted["hop_frames"], wanted["look_ahead_frames"]
    for name, value in wanted.items():
        place = ["features", name]
        built = network.get_rt_info(place).astype(str) if network.has_rt_info(place) else "unknown"
        if built != value:
            raise WeightsError(f"{NETWORK} was built for {name} {built} instead of {value}; run {_SCRIPT}")
    return network
