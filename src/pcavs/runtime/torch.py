"""The talker in torch: any device that torch knows, and weights that were never exported."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from pcavs.errors import InputError
from pcavs.runtime.base import CONVENTIONS, Face, Faces, IdentityArrays, Rendered
from pcavs.spec import TalkerSpec
from pcavs.types import MelWindows


class TorchRuntime:
    """Runs networks that are already built, in float32."""

    def __init__(self, networks: Mapping[str, nn.Module], spec: TalkerSpec, device: torch.device) -> None:
        """Moves the networks to the device.

        Args:
            networks: `identity`, `motion`, `speech` and `generator`, as `models.plain.plain_networks` gives them.
            spec: Of these networks.
            device: Where they run.
        """
        self.spec = spec
        self.description = f"torch {device.type} f32"
        self._device = device
        self._networks = {name: network.to(device) for name, network in networks.items()}
        self._conventions = CONVENTIONS[spec.kind]
        self._loaded: tuple[IdentityArrays, tuple[Tensor, ...]] | None = None

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference, once a film."""
        vector, *maps = self._run("identity", face[None])
        content, pose = self._run("motion", face[None])
        return IdentityArrays(vector[0], tuple(each[0] for each in maps), content[0], pose[0])

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes where the head is."""
        return self._run("motion", faces)[1]

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes what is seen to be said."""
        return self._run("motion", faces)[0]

    def encode_speech(self, windows: MelWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes what is heard."""
        return self._run("speech", windows)[0]

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Gives what one frame shows, in arrays of the caller's own."""
        if self._loaded is None or self._loaded[0] is not identity:
            self._loaded = identity, tuple(self._tensor(value) for value in self._conventions.person(identity))
        return self._conventions.rendered(self._run("generator", content[None], pose[None], *self._loaded[1]))

    @torch.inference_mode()
    def _run(self, name: str, *values: np.ndarray | Tensor) -> tuple[np.ndarray, ...]:
        results = self._networks[name](*(self._tensor(value) for value in values))
        return tuple(each.cpu().numpy() for each in (results if isinstance(results, tuple) else (results,)))

    def _tensor(self, value: np.ndarray | Tensor) -> Tensor:
        return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value)).to(self._device)


def torch_device(choice: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Resolves a choice of device; `auto` is `cuda` where there is one.

    Raises:
        InputError: `cuda` was asked for and is not here.
    """
    has_cuda = torch.cuda.is_available()
    if choice == "cuda" and not has_cuda:
        raise InputError("no CUDA device is here, or torch is built without CUDA; use --device cpu")
    return torch.device("cuda" if has_cuda and choice != "cpu" else "cpu")
