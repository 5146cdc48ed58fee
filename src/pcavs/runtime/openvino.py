"""The talker in OpenVINO: what animates on a processor, without torch."""

from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
from jaxtyping import Float32

from pcavs.errors import WeightsError
from pcavs.runtime.base import CONVENTIONS, Face, Faces, IdentityArrays, Rendered
from pcavs.runtime.processor import processor_settings
from pcavs.spec import TalkerSpec
from pcavs.types import MelWindows

Precision = Literal["auto", "f32", "bf16"]
"""Arithmetic; `auto` is bf16 where the processor computes in it, which is about twice as fast there."""


def cpu_has_bf16() -> bool:
    """Tells whether the processor computes in bf16 (AVX512-BF16 or AMX)."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoRuntime:
    """Runs a folder made by `pcavs weights export`; equal input gives equal output on one machine."""

    def __init__(self, folder: Path, spec: TalkerSpec, precision: Precision = "auto", threads: int = 0) -> None:
        """Loads and compiles the networks (about a second).

        Args:
            folder: With `identity`, `motion`, `speech` and `generator`, each as .xml and .bin.
            spec: Of these networks.
            precision: Arithmetic of the networks.
            threads: Processor threads; 0 takes what the machine has.

        Raises:
            WeightsError: A network cannot be read.
        """
        if precision == "auto":
            precision = "bf16" if cpu_has_bf16() else "f32"
        self.spec = spec
        self.description = f"openvino CPU {precision}"
        settings = processor_settings(precision, threads)
        core = ov.Core()
        self._identity, self._motion, self._speech, generator = (
            _compiled(core, folder / f"{name}.xml", settings) for name in ("identity", "motion", "speech", "generator")
        )
        self._generator = generator.create_infer_request()
        self._conventions = CONVENTIONS[spec.kind]
        self._loaded: IdentityArrays | None = None

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference, once a film."""
        vector, *maps = (np.array(value[0]) for value in self._identity([face[None]]).values())
        content, pose = self._encode_motion(face[None])
        return IdentityArrays(vector, tuple(maps), content[0], pose[0])

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes where the head is."""
        return self._encode_motion(faces)[1]

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes what is seen to be said."""
        return self._encode_motion(faces)[0]

    def encode_speech(self, windows: MelWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes what is heard."""
        return np.array(self._speech([windows])[0])

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Gives what one frame shows, in arrays of the caller's own."""
        self._load(identity)
        self._generator.set_input_tensor(0, ov.Tensor(content[None]))
        self._generator.set_input_tensor(1, ov.Tensor(pose[None]))
        self._generator.infer()
        return self._conventions.rendered([np.array(tensor.data) for tensor in self._generator.output_tensors])

    def _encode_motion(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
        results = self._motion([faces])
        return np.array(results[0]), np.array(results[1])

    def _load(self, identity: IdentityArrays) -> None:
        # A film has one identity: its maps are handed over once, not with every frame.
        if self._loaded is identity:
            return
        for index, value in enumerate(self._conventions.person(identity), start=2):
            self._generator.set_input_tensor(index, ov.Tensor(np.ascontiguousarray(value)))
        self._loaded = identity


def _compiled(core: ov.Core, path: Path, settings: dict[str, str]) -> ov.CompiledModel:
    try:
        return core.compile_model(core.read_model(path), "CPU", settings)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"{path} cannot be loaded by OpenVINO ({reason}); export the weights again") from error
