"""`pcavs weights parity`: the published checkpoints' numbers, here against recorded ones; needs torch."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pcavs.errors import InputError
from pcavs.media.mel import mel_spectrogram, normalise_loudness
from pcavs.models.paper import PaperModel
from pcavs.models.state import fill
from pcavs.models.talker import build_talker
from pcavs.spec import MEL_WINDOW_BINS, TalkerSpec
from pcavs.weights.convert import PAPER, read_release
from pcavs.weights.options import ParityOptions
from pcavs.weights.probes import Runner, openvino_runner, paper_probes, torch_runner

Arrays: TypeAlias = Mapping[str, np.ndarray]

ABSOLUTE: Final = ("pre_tanh_driven", "mel")
"""Compared as they are; every other array by its largest number."""

LIMIT: Final = {"f32": 1e-4, "bf16": 5e-2}
"""On what networks compute: differences of rounding. Bf16 keeps three digits, through some fifty layers."""

SOUND_LIMIT: Final = 1e-6
"""On the mel spectrogram, which is computed in double precision whatever the networks run in."""

INPUTS: Final = ("in_id", "in_pose", "in_spec")


class Row(NamedTuple):
    """One recorded array and how far each runtime is from it."""

    name: str
    measure: str
    limit: float
    differences: tuple[float | None, ...]
    """Of each column; None where that runtime has no part in it."""

    @property
    def ok(self) -> bool:
        """Whether all are within the limit; a difference that is no number is not."""
        return all(each <= self.limit for each in self.differences if each is not None)


class Parity(NamedTuple):
    """The table."""

    columns: tuple[str, ...]
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether every array is within its limit."""
        return all(row.ok for row in self.rows)

    @property
    def lines(self) -> list[str]:
        """The table for a reader."""
        widths = [max(12, len(column)) for column in self.columns]
        head = "".join(f"  {column:>{width}}" for column, width in zip(self.columns, widths, strict=True))
        lines = [f"{'array':17}{'difference':20}{'limit':8}{head}"]
        for row in self.rows:
            cells = zip(row.differences, widths, strict=True)
            shown = "".join(f"  {'' if each is None else format(each, '.1e'):>{width}}" for each, width in cells)
            lines.append(f"{row.name:17}{row.measure:20}{row.limit:<8.0e}{shown}  {'ok' if row.ok else 'FAULT'}")
        failed = sum(not row.ok for row in self.rows)
        return [
            *lines,
            f"{failed} of {len(self.rows)} beyond their limit" if failed else "all within their limits",
        ]


def run(options: ParityOptions, spec: TalkerSpec = PAPER) -> Parity:
    """Runs the talker of a release on recorded inputs and compares every array that was recorded with it.

    Raises:
        WeightsError: As `convert.read_release`.
        InputError: The arrays cannot be read, or inputs are not among them.
    """
    recorded = _read_arrays(options.arrays, spec)
    tensors = read_release(options.checkpoints, spec)
    talker = build_talker(spec)
    assert isinstance(talker, PaperModel)
    fill(talker, tensors, str(options.checkpoints))
    talker.eval()
    makers: dict[str, Callable[..., Runner]] = {"torch": torch_runner, "openvino": openvino_runner}
    chosen = [name for name in makers if options.runtime in (name, "both")]
    sound = _sound(recorded, spec)
    computed = [_networks(recorded, talker, spec, makers[name](options.precision)) for name in chosen]
    limits = dict.fromkeys(sound, SOUND_LIMIT)
    columns: list[Arrays] = [sound, *computed]
    rows = [
        _row(name, recorded[name], limits.get(name, LIMIT[options.precision]), columns)
        for name in (*sound, *computed[0])
        if name in recorded
    ]
    if not rows:
        raise InputError(f"{options.arrays} holds inputs and no results; record some, such as pre_tanh_driven")
    return Parity(("sound", *(f"{name} {options.precision}" for name in chosen)), rows)


def _row(name: str, recorded: np.ndarray, limit: float, columns: list[Arrays]) -> Row:
    sizes = {column[name].size for column in columns if name in column}
    if sizes != {recorded.size}:
        raise InputError(f"the recorded {name} has {recorded.size} numbers, {sizes.pop()} are computed from its inputs")
    is_absolute = name in ABSOLUTE
    scale = 1.0 if is_absolute else max(float(np.abs(recorded).max()), 1e-12)
    differences = [
        float(np.abs(column[name].reshape(recorded.shape) - recorded).max()) / scale if name in column else None
        for column in columns
    ]
    return Row(name, "max|a-b|" if is_absolute else "max|a-b| / max|b|", limit, tuple(differences))


def _sound(recorded: Arrays, spec: TalkerSpec) -> dict[str, np.ndarray]:
    """What comes before the networks: loudness and mel spectrogram, where a waveform was recorded."""
    if "wav" not in recorded:
        return {}
    waveform = normalise_loudness(recorded["wav"].astype(np.float32), spec.mel)
    return {"wav_norm": waveform, "mel": mel_spectrogram(waveform, spec.mel).T}


def _networks(recorded: Arrays, talker: PaperModel, spec: TalkerSpec, runner: Runner) -> dict[str, np.ndarray]:
    """The published inference, each step from what the step before gave here."""
    run_probe = {name: runner(probe) for name, probe in paper_probes(talker).items()}
    side = spec.sizes.frame_px
    references = recorded["in_id"].reshape(len(recorded["in_id"]), -1, 3, side, side)
    face = references[:, 0]
    looks = [run_probe["identity"](references[:, index]) for index in range(references.shape[1])]
    vector, seed = (np.mean([look[part] for look in looks], axis=0) for part in (0, 1))
    noid, headpose, pose, mouth = run_probe["motion"](recorded["in_pose"].reshape(-1, 3, side, side))
    (heard,) = run_probe["speech"](recorded["in_spec"])
    codes = (heard * np.float32(talker.speech_gain), pose, vector)
    embedding, style = run_probe["style"](*codes)
    (pre_tanh,) = run_probe["face"](*codes, seed)
    return {
        "id_vec": vector,
        "id_map": seed,
        "audio_feat": heard,
        "mouth_embed": embedding,
        "ref_pose_code": run_probe["motion"](face)[2],
        "drv_noid": noid,
        "drv_headpose": headpose,
        "drv_pose_code": pose,
        "drv_mouth_visual": mouth,
        "style": style,
        "pre_tanh_driven": pre_tanh,
        "out_driven": np.tanh(pre_tanh),
    }


def _read_arrays(path: Path, spec: TalkerSpec) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path} is no .npz file of arrays ({error}); give the one that was recorded") from error
    missing = [name for name in INPUTS if name not in arrays]
    if missing:
        raise InputError(f"{path} has no {', '.join(missing)}; the inputs {', '.join(INPUTS)} are needed")
    faces = (3, spec.sizes.frame_px, spec.sizes.frame_px)
    wanted = {"in_id": faces, "in_pose": faces, "in_spec": (1, spec.mel.mel_channels, MEL_WINDOW_BINS)}
    for name, shape in wanted.items():
        if arrays[name].size == 0 or arrays[name].shape[-3:] != shape:
            raise InputError(f"{path}: {name} is {arrays[name].shape}; {shape} at its end is needed")
    return arrays
