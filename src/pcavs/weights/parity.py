"""`pcavs weights parity`: compares what published checkpoints compute here with recorded results; needs torch.

The recorded arrays come from the published code (docs/weights.md lists their names and shapes). Each is compared with
the result of every chosen runtime, from the mel spectrogram to the face.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from pcavs.errors import InputError
from pcavs.media.archive import ARCHIVE_ERRORS
from pcavs.media.mel import mel_spectrogram, normalise_loudness
from pcavs.models.build import build_model
from pcavs.models.inference import FaceNetwork
from pcavs.models.motion import Codes
from pcavs.models.paper import FaceGenerator, PaperModel
from pcavs.models.resnet import PaperIdentity
from pcavs.models.state import fill
from pcavs.spec import MEL_WINDOW_BINS, TalkerSpec
from pcavs.vino import ov
from pcavs.weights.convert import PAPER, read_release
from pcavs.weights.export import convert
from pcavs.weights.options import ParityOptions

Arrays: TypeAlias = Mapping[str, np.ndarray]

Precision: TypeAlias = Literal["f32", "bf16"]

Call: TypeAlias = Callable[..., tuple[np.ndarray, ...]]
"""A network that is ready to run: float32 arrays in, float32 arrays out."""

Runner: TypeAlias = Callable[[nn.Module], Call]
"""Prepares a network for one runtime and precision."""

ABSOLUTE: Final = ("pre_tanh_driven", "mel")
"""Arrays compared by their largest absolute difference; for the others it is divided by the largest recorded number."""

LIMIT: Final = {"f32": 1e-4, "bf16": 5e-2}
"""Largest accepted difference of a network's result, by precision.

f32: above rounding, which reaches 2e-5 before the `tanh`. bf16 has three significant digits, and some fifty layers
add up. Both set by hand.
"""

SOUND_LIMIT: Final = 1e-6
"""Largest accepted difference of waveform and mel spectrogram, which are computed in double precision."""

INPUTS: Final = ("in_id", "in_pose", "in_spec")

_SMALLEST_SCALE: Final = 1e-12
"""Stands in for the largest recorded number of an array of zeros."""

_NAME_WIDTH, _MEASURE_WIDTH, _LIMIT_WIDTH, _MIN_COLUMN_WIDTH = 17, 20, 8, 12
"""Columns of the printed table, in characters."""


class Row(NamedTuple):
    """One recorded array, and how far each runtime's result is from it."""

    name: str
    measure: str
    """Formula of the differences, as printed."""
    limit: float
    differences: tuple[float | None, ...]
    """One per column of the table; None where that column does not compute the array."""

    @property
    def ok(self) -> bool:
        """Whether all differences are within the limit; NaN is not."""
        return all(each <= self.limit for each in self.differences if each is not None)


class Parity(NamedTuple):
    """The table of differences."""

    columns: tuple[str, ...]
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether every array is within its limit."""
        return all(row.ok for row in self.rows)

    @property
    def lines(self) -> list[str]:
        """The table as text, with a summary in the last line."""
        widths = [max(_MIN_COLUMN_WIDTH, len(column)) for column in self.columns]
        head = "".join(f"  {column:>{width}}" for column, width in zip(self.columns, widths, strict=True))
        lines = [f"{'array':{_NAME_WIDTH}}{'difference':{_MEASURE_WIDTH}}{'limit':{_LIMIT_WIDTH}}{head}"]
        for row in self.rows:
            cells = zip(row.differences, widths, strict=True)
            shown = "".join(f"  {'' if each is None else format(each, '.1e'):>{width}}" for each, width in cells)
            title = f"{row.name:{_NAME_WIDTH}}{row.measure:{_MEASURE_WIDTH}}{row.limit:<{_LIMIT_WIDTH}.0e}"
            lines.append(f"{title}{shown}  {'ok' if row.ok else 'FAULT'}")
        failed = sum(not row.ok for row in self.rows)
        summary = f"{failed} of {len(self.rows)} arrays exceed their limits" if failed else "all arrays within limits"
        return [*lines, summary]


def run(options: ParityOptions, spec: TalkerSpec = PAPER) -> Parity:
    """Runs the networks of a release on recorded inputs, and compares every result that was recorded with them.

    Raises:
        WeightsError: As `convert.read_release`.
        InputError: The arrays cannot be read, lack inputs, or have other sizes than the results.
    """
    recorded = _read_arrays(options.arrays, spec)
    tensors = read_release(options.checkpoints, spec)
    model = build_model(spec)
    assert isinstance(model, PaperModel)
    fill(model, tensors, str(options.checkpoints))
    model.eval()
    runners: dict[str, Callable[[Precision], Runner]] = {"torch": torch_runner, "openvino": openvino_runner}
    chosen = [name for name in runners if options.runtime in (name, "both")]
    sound = _sound_results(recorded, spec)
    computed = [_network_results(recorded, model, spec, runners[name](options.precision)) for name in chosen]
    limits = dict.fromkeys(sound, SOUND_LIMIT)
    columns: list[Arrays] = [sound, *computed]
    rows = [
        _compare(name, recorded[name], limits.get(name, LIMIT[options.precision]), columns)
        for name in (*sound, *computed[0])
        if name in recorded
    ]
    if not rows:
        raise InputError(f"{options.arrays} holds inputs but no results; record some, such as pre_tanh_driven")
    return Parity(("sound", *(f"{name} {options.precision}" for name in chosen)), rows)


def _compare(name: str, recorded: np.ndarray, limit: float, columns: list[Arrays]) -> Row:
    sizes = {column[name].size for column in columns if name in column}
    if sizes != {recorded.size}:
        raise InputError(
            f"the recorded {name} has {recorded.size} numbers, but its inputs give {sizes.pop()}; record it again"
        )
    is_absolute = name in ABSOLUTE
    scale = 1.0 if is_absolute else max(float(np.abs(recorded).max()), _SMALLEST_SCALE)
    differences = [
        float(np.abs(column[name].reshape(recorded.shape) - recorded).max()) / scale if name in column else None
        for column in columns
    ]
    return Row(name, "max|a-b|" if is_absolute else "max|a-b| / max|b|", limit, tuple(differences))


def _sound_results(recorded: Arrays, spec: TalkerSpec) -> dict[str, np.ndarray]:
    """Computes normalised waveform and mel spectrogram, if a waveform was recorded."""
    if "wav" not in recorded:
        return {}
    waveform = normalise_loudness(recorded["wav"].astype(np.float32), spec.mel)
    return {"wav_norm": waveform, "mel": mel_spectrogram(waveform, spec.mel).T}


def _network_results(recorded: Arrays, model: PaperModel, spec: TalkerSpec, runner: Runner) -> dict[str, np.ndarray]:
    """Runs the published inference; every network takes the results of those before it, not recorded ones."""
    networks = {name: runner(network) for name, network in probe_networks(model).items()}
    side = spec.sizes.frame_px
    references = recorded["in_id"].reshape(len(recorded["in_id"]), -1, 3, side, side)
    face = references[:, 0]
    codes_of_references = [networks["identity"](references[:, index]) for index in range(references.shape[1])]
    vector, seed = (np.mean([codes[part] for codes in codes_of_references], axis=0) for part in (0, 1))
    feature, headpose, pose, lips = networks["motion"](recorded["in_pose"].reshape(-1, 3, side, side))
    (speech,) = networks["speech"](recorded["in_spec"])
    codes = (speech * np.float32(model.speech_gain), pose, vector)
    embedding, style = networks["style"](*codes)
    (pre_tanh,) = networks["face"](*codes, seed)
    return {
        "id_vec": vector,
        "id_map": seed,
        "audio_feat": speech,
        "mouth_embed": embedding,
        "ref_pose_code": networks["motion"](face)[2],
        "drv_noid": feature,
        "drv_headpose": headpose,
        "drv_pose_code": pose,
        "drv_mouth_visual": lips,
        "style": style,
        "pre_tanh_driven": pre_tanh,
        "out_driven": np.tanh(pre_tanh),
    }


def _read_arrays(path: Path, spec: TalkerSpec) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, *ARCHIVE_ERRORS) as error:
        raise InputError(f"{path} is no .npz file of arrays ({error}); give one of recorded results") from error
    missing = [name for name in INPUTS if name not in arrays]
    if missing:
        raise InputError(f"{path} has no {', '.join(missing)}; it must hold {', '.join(INPUTS)}")
    faces = (3, spec.sizes.frame_px, spec.sizes.frame_px)
    wanted = {"in_id": faces, "in_pose": faces, "in_spec": (1, spec.mel.mel_channels, MEL_WINDOW_BINS)}
    for name, shape in wanted.items():
        if arrays[name].size == 0 or arrays[name].shape[-3:] != shape:
            raise InputError(f"{path}: {name} has shape {arrays[name].shape}; its last three axes must be {shape}")
    return arrays


# Networks that also return intermediate results, and the runtimes that run them. ------------------------------------


def probe_networks(model: PaperModel) -> dict[str, nn.Module]:
    """Returns `identity`, `motion`, `speech`, `style` and `face`, which share the model's weights."""
    return {
        "identity": _IdentityProbe(model),
        "motion": _MotionProbe(model),
        "speech": model.speech,
        "style": _StyleProbe(model.generator),
        "face": FaceNetwork(model.generator, bounded=False),
    }


def torch_runner(precision: Precision) -> Runner:
    """Returns a runner that computes in torch on the processor; bf16 by autocast."""

    def prepare(network: nn.Module) -> Call:
        @torch.inference_mode()
        def call(*values: np.ndarray) -> tuple[np.ndarray, ...]:
            tensors = [torch.from_numpy(np.ascontiguousarray(value, np.float32)) for value in values]
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                results = network(*tensors)
            return tuple(each.float().numpy() for each in (results if isinstance(results, tuple) else (results,)))

        return call

    return prepare


def openvino_runner(precision: Precision) -> Runner:
    """Returns a runner that computes in OpenVINO on the processor, with networks converted as by `weights export`."""
    core = ov.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision}

    def prepare(network: nn.Module) -> Call:
        compiled: dict[tuple[tuple[int, ...], ...], ov.CompiledModel] = {}

        def call(*values: np.ndarray) -> tuple[np.ndarray, ...]:
            arrays = [np.ascontiguousarray(value, np.float32) for value in values]
            shapes = tuple(each.shape for each in arrays)
            if shapes not in compiled:
                with torch.inference_mode():
                    model = convert(network, tuple(torch.from_numpy(each) for each in arrays))
                compiled[shapes] = core.compile_model(model, "CPU", settings)
            results = compiled[shapes](arrays)
            return tuple(np.array(results[port], np.float32) for port in compiled[shapes].outputs)

        return call

    return prepare


class _IdentityProbe(nn.Module):
    """Faces to identity vector and map."""

    def __init__(self, model: PaperModel) -> None:
        super().__init__()
        self.encoder = model.identity

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(faces)
        return code.vector, code.seed


class _MotionProbe(nn.Module):
    """Faces to motion feature, pose before its embedding, pose code and content."""

    def __init__(self, model: PaperModel) -> None:
        super().__init__()
        self.encoder = model.motion

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        feature = self.encoder.feature(faces)
        headpose = self.encoder.pose_head(feature)
        return feature, headpose, self.encoder.pose_embedding(headpose), self.encoder.content_head(feature)


class _StyleProbe(nn.Module):
    """Content, pose code and identity vector to content embedding and style."""

    def __init__(self, generator: FaceGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, content: Tensor, pose: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        unused_map = vector[:, :, None, None]
        style = self.generator.style(PaperIdentity(vector, unused_map), Codes(content, pose))
        return self.generator.content_embedding(content), style
