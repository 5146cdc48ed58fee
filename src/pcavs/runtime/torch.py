"""Runs a talker's networks with torch: on any device that torch has, and for bundles that were never exported."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from pcavs.errors import InputError
from pcavs.runtime.base import GENERATOR_INTERFACES, Face, Faces, Features, IdentityArrays, Rendered
from pcavs.spec import TalkerSpec
from pcavs.types import SpeechWindows


class TorchRuntime:
    """Runs networks that are already built, in float32."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        spec: TalkerSpec,
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        """Moves the networks to the device.

        Args:
            networks: `identity`, `motion`, `speech` and `generator`, from `models.inference.inference_networks`.
            spec: Spec of these networks.
            device: Where they run.
            features: Computes the states that the speech encoder hears; None if it hears mel windows.
        """
        self.spec, self.features = spec, features
        self.description = f"torch {device.type} f32"
        self._device = device
        self._networks = {name: network.to(device) for name, network in networks.items()}
        self._interface = GENERATOR_INTERFACES[spec.kind]
        self._current: tuple[IdentityArrays, tuple[Tensor, ...]] | None = None

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference."""
        vector, *maps = self._run("identity", face[None])
        content, pose = self._run("motion", face[None])
        return IdentityArrays(vector[0], tuple(each[0] for each in maps), content[0], pose[0])

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes the head pose of each crop as a pose code."""
        return self._run("motion", faces)[1]

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes the content that each crop's mouth shows."""
        return self._run("motion", faces)[0]

    def encode_speech(self, windows: SpeechWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes the content of each window of speech."""
        return self._run("speech", windows)[0]

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Runs the generator for one frame; the arrays belong to the caller."""
        # The identity's tensors are moved to the device once: a film has one identity.
        current = self._current  # another thread may replace it at any time
        if current is None or current[0] is not identity:
            current = identity, tuple(self._tensor(value) for value in self._interface.identity_inputs(identity))
            self._current = current
        return self._interface.read_outputs(self._run("generator", content[None], pose[None], *current[1]))

    @torch.inference_mode()
    def _run(self, name: str, *values: np.ndarray | Tensor) -> tuple[np.ndarray, ...]:
        results = self._networks[name](*(self._tensor(value) for value in values))
        return tuple(each.cpu().numpy() for each in (results if isinstance(results, tuple) else (results,)))

    def _tensor(self, value: np.ndarray | Tensor) -> Tensor:
        return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value)).to(self._device)


def torch_device(choice: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Resolves `--device`; `auto` is `cuda` where torch finds a CUDA device, otherwise `cpu`.

    Raises:
        InputError: `cuda` is requested and there is no CUDA device.
    """
    has_cuda = torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        raise InputError("torch finds no CUDA device, or is built without CUDA; use --device cpu")
    return torch.device("cuda" if has_cuda and choice != "cpu" else "cpu")
