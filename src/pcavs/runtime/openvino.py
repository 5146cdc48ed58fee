"""Runs a talker's exported networks on the CPU with OpenVINO; the default runtime, which needs no torch.

`cpu_settings` serves every network of the package that OpenVINO runs, those of `face` and `metrics` included.
"""

import contextlib
from collections.abc import Generator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from pcavs.errors import WeightsError, raise_if_out_of_memory
from pcavs.runtime.base import GENERATOR_INTERFACES, Face, Faces, Features, IdentityArrays, Rendered
from pcavs.runtime.cache import compile_network
from pcavs.spec import TalkerSpec
from pcavs.types import SpeechWindows
from pcavs.vino import ov

Precision = Literal["auto", "f32", "bf16"]
"""Arithmetic; `auto` is bf16 on processors that compute in it, where it is about twice as fast, otherwise f32."""


def cpu_has_bf16() -> bool:
    """Tells whether the processor computes in bf16 (AVX512-BF16 or AMX)."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cpu_settings(precision: Literal["f32", "bf16"] = "f32", threads: int = 1, streams: int = 1) -> dict[str, str]:
    """Returns the settings to compile a network with for OpenVINO's `CPU` device.

    OpenVINO pins the threads of each compiled network to the first processors, and a network of one thread pins the
    thread that calls it. The processes of a pool would then share one processor while the others idle, so pinning is
    off where the number of threads is given.

    Args:
        precision: Arithmetic.
        threads: Number of threads; 0 lets OpenVINO use all processors.
        streams: Number of requests that are computed at the same time, each by one thread, if it is more than one;
            `threads` then has no effect. OpenVINO takes no more than there are processors.
    """
    if streams > 1:
        return {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams),
            "ENABLE_CPU_PINNING": "NO",
        }
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads:
        settings |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
    return settings


def read_speech_network(folder: Path | None, name: str, script: str) -> ov.Model:
    """Reads a network that belongs to the package rather than to a talker.

    Args:
        folder: Holds the network; None is the package's folder `assets/speech`.
        name: File name, with the ending .xml.
        script: The script that makes it, for messages.

    Raises:
        WeightsError: The network is missing or cannot be read.
    """
    if folder is None:
        with resources.as_file(resources.files("pcavs") / "assets" / "speech") as path:
            return read_speech_network(path, name, script)
    path = folder / name
    if not path.exists():
        raise WeightsError(f"{path} is missing; install pcavs again or run {script}")
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(
            f"{path} cannot be loaded by OpenVINO ({reason}); install pcavs again or run {script}"
        ) from error


def compile_speech_network(folder: Path | None, name: str, network: ov.Model, settings: dict[str, str]) -> "Network":
    """Compiles what `read_speech_network` read, or loads it as it was compiled before."""
    if folder is None:
        with resources.as_file(resources.files("pcavs") / "assets" / "speech") as path:
            return compile_speech_network(path, name, network, settings)
    path = folder / name
    return Network(compile_network([path, path.with_suffix(".bin")], lambda: network, settings))


class Network:
    """A compiled network that several threads may call at the same time: each call has an inference request of its own.

    OpenVINO's compiled models share one request between all callers, and fail while it is busy. Requests are kept for
    later calls, as many as were ever busy at once.
    """

    def __init__(self, compiled: ov.CompiledModel) -> None:
        """Takes the compiled network."""
        self._compiled = compiled
        self._free: list[ov.InferRequest] = []

    @contextlib.contextmanager
    def request(self) -> Generator[ov.InferRequest]:
        """Lends an inference request, the one that was returned last; its inputs are those of that call."""
        try:
            request = self._free.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._free.append(request)

    def __call__(self, inputs: Sequence[np.ndarray]) -> Any:
        """Computes the outputs, by number and in order; the arrays belong to the caller."""
        with self.request() as request:
            return request.infer(inputs, share_inputs=True)


class OpenVinoRuntime:
    """Runs a folder of networks made by `pcavs weights export`; equal input gives equal output on one machine.

    Several threads may use it at the same time.
    """

    def __init__(
        self,
        folder: Path,
        spec: TalkerSpec,
        precision: Precision = "auto",
        threads: int = 0,
        features: Features | None = None,
        streams: int = 1,
    ) -> None:
        """Loads and compiles the networks (about a second).

        Args:
            folder: Holds `identity`, `motion`, `speech` and `generator`, each as .xml and .bin.
            spec: Spec of these networks.
            precision: Arithmetic of the networks.
            threads: Number of threads; 0 uses all processors.
            features: Computes the states that the speech encoder hears; None if it hears mel windows.
            streams: Frames that the generator computes at the same time, if that many threads ask for them.

        Raises:
            WeightsError: A network cannot be read.
        """
        if precision == "auto":
            precision = "bf16" if cpu_has_bf16() else "f32"
        self.spec, self.features = spec, features
        self.description = f"openvino CPU {precision}"
        settings = cpu_settings(precision, threads)
        self._identity, self._motion, self._speech = (
            _compiled(folder / f"{name}.xml", settings) for name in ("identity", "motion", "speech")
        )
        frames = cpu_settings(precision, threads, streams)
        self._generator = _compiled(folder / "generator.xml", frames)
        self._interface = GENERATOR_INTERFACES[spec.kind]
        self._identity_of: dict[int, IdentityArrays] = {}
        """Whose identity inputs each of the generator's requests holds, by the request's `id`; requests are kept."""

    def encode_identity(self, face: Face) -> IdentityArrays:
        """Encodes the identity reference."""
        vector, *maps = (np.array(value[0]) for value in self._identity([face[None]]).values())
        content, pose = self._encode_motion(face[None])
        return IdentityArrays(vector, tuple(maps), content[0], pose[0])

    def encode_pose(self, faces: Faces) -> Float32[np.ndarray, "time pose"]:
        """Encodes the head pose of each crop as a pose code."""
        return self._encode_motion(faces)[1]

    def encode_lips(self, faces: Faces) -> Float32[np.ndarray, "time content"]:
        """Encodes the content that each crop's mouth shows."""
        return self._encode_motion(faces)[0]

    def encode_speech(self, windows: SpeechWindows) -> Float32[np.ndarray, "time content"]:
        """Encodes the content of each window of speech."""
        if self.features is None:
            return np.array(self._speech([windows])[0])
        # One at a time: sums of another batch size may be rounded differently.
        return np.concatenate([self._speech([window[None]])[0] for window in windows])

    def render(
        self, identity: IdentityArrays, content: Float32[np.ndarray, " content"], pose: Float32[np.ndarray, " pose"]
    ) -> Rendered:
        """Runs the generator for one frame; the arrays belong to the caller."""
        with self._generator.request() as request:
            self._set_identity(request, identity)
            request.set_input_tensor(0, ov.Tensor(content[None]))
            request.set_input_tensor(1, ov.Tensor(pose[None]))
            request.infer()
            return self._interface.read_outputs([np.array(tensor.data) for tensor in request.output_tensors])

    def _encode_motion(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
        """Returns contents and pose codes."""
        results = self._motion([faces])
        return np.array(results[0]), np.array(results[1])

    def _set_identity(self, request: ov.InferRequest, identity: IdentityArrays) -> None:
        """Sets the identity inputs of a request, unless they are set already: a film has one identity."""
        if self._identity_of.get(id(request)) is identity:
            return
        for index, value in enumerate(self._interface.identity_inputs(identity), start=2):
            request.set_input_tensor(index, ov.Tensor(np.ascontiguousarray(value)))
        self._identity_of[id(request)] = identity


def _compiled(path: Path, settings: dict[str, str]) -> Network:
    try:
        files = path, path.with_suffix(".bin")
        return Network(compile_network(files, lambda: ov.Core().read_model(path), settings))
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(
            f"{path} cannot be loaded by OpenVINO {ov.__version__} ({reason}); install a newer openvino, or export the "
            "weights with this one"
        ) from error
