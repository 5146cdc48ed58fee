"""The published SyncNet, where the user has its weights: confidence and distance on the scale that papers report.

Its own detector and cutter are not here: faces are cut out about the boxes of our landmarks, so figures come near
published ones but are not made in the same way (docs/decisions/0057).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import openvino as ov
from jaxtyping import Float, Float32, Float64, UInt8

from pcavs.errors import InputError, WeightsError
from pcavs.metrics.sync import REACH_FRAMES, SyncScore
from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Picture, Waveform

SYNCNET: Final = "syncnet-v2"

_SIDE_PX: Final = 224
_WINDOW_FRAMES: Final = 5
_CEPSTRA: Final = 13
_BINS_A_FRAME: Final = 4
_WINDOW_BINS: Final = 20

_ABOVE, _BELOW, _ASIDE = 1.0, 1.8, 1.4
"""How far the cut reaches from the middle of the face's box, in halves of its longer side."""
_STEADY_FRAMES: Final = 13
_BESIDE: Final = 110
"""Grey level of what lies outside of the picture."""

_FRAME_SAMPLES: Final = 400
_HOP_SAMPLES: Final = 160
_FFT: Final = 512
_FILTERS: Final = 26
_LIFTER: Final = 22
_EMPHASIS: Final = 0.97
_NEAR_ZERO: Final = float(np.finfo(float).eps)

SyncNetEmbeddings = Float32[np.ndarray, "windows 1024"]
SyncNetFaces = UInt8[np.ndarray, "time 224 224 3"]


class SyncNetJudge:
    """Both towers, run by OpenVINO in float32."""

    name = SYNCNET

    def __init__(self, folder: Path) -> None:
        """Loads what `scripts/convert_judges.py` made.

        Raises:
            WeightsError: A tower is damaged or missing.
        """
        settings = cpu_settings()
        core = ov.Core()
        try:
            self.facts = json.loads((folder / f"{SYNCNET}-mouth.json").read_text())
            self._mouth, self._voice = (
                core.compile_model(core.read_model(folder / f"{SYNCNET}-{part}.xml"), "CPU", settings)
                for part in ("mouth", "voice")
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{SYNCNET} in {folder} cannot be used ({' '.join(str(error).split())[:120]}); make it anew by "
                "convert_judges.py"
            ) from error

    def seen(self, faces: SyncNetFaces) -> SyncNetEmbeddings:
        """Embeds every five neighbouring frames; row k begins at frame k. Takes 50 ms a frame.

        Raises:
            InputError: There are fewer than five frames.
        """
        if len(faces) < _WINDOW_FRAMES:
            raise InputError(f"a film of {len(faces)} frames cannot be judged for sync; {_WINDOW_FRAMES} are needed")
        starts = range(len(faces) - _WINDOW_FRAMES + 1)
        windows = (faces[first : first + _WINDOW_FRAMES, :, :, ::-1].transpose(3, 0, 1, 2) for first in starts)
        return np.concatenate([_run(self._mouth, window) for window in windows])

    def heard(self, waveform: Waveform) -> SyncNetEmbeddings:
        """Embeds the sound from each frame on, to fit `seen`."""
        values = cepstra(waveform).T.astype(np.float32)
        count = max((values.shape[1] - _WINDOW_BINS) // _BINS_A_FRAME + 1, 0)
        windows = (values[None, :, _BINS_A_FRAME * k : _BINS_A_FRAME * k + _WINDOW_BINS] for k in range(count))
        return np.concatenate([_run(self._voice, window) for window in windows])


def find_syncnet(folder: Path) -> SyncNetJudge | None:
    """Loads the published SyncNet if a folder has it."""
    return SyncNetJudge(folder) if (folder / f"{SYNCNET}-mouth.xml").is_file() else None


def compare_published(seen: SyncNetEmbeddings, heard: SyncNetEmbeddings) -> SyncScore:
    """Scores embeddings as the published evaluation does; beyond the film's ends there is nothing, not silence.

    The distance is the least over all shifts (what papers call LSE-D), the confidence the median less it (LSE-C).
    `likeness` is the mean cosine at no shift, which no paper gives.

    Reference: Prajwal et al., "A lip sync expert is all you need", ACM Multimedia 2020, section 4.
    """
    count = min(len(seen), len(heard))
    seen, heard = seen[:count], heard[:count]
    padded = np.pad(heard, ((REACH_FRAMES, REACH_FRAMES), (0, 0)))
    shifts = range(2 * REACH_FRAMES + 1)
    curve = np.array([np.linalg.norm(seen - padded[k : k + count] + 1e-6, axis=1).mean() for k in shifts])
    least = int(np.argmin(curve))
    lengths = np.linalg.norm(seen, axis=1) * np.linalg.norm(heard, axis=1)
    likeness = float(((seen * heard).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
    return SyncScore(float(np.median(curve) - curve[least]), float(curve[least]), REACH_FRAMES - least, likeness)


def syncnet_faces(pictures: Sequence[Picture], meshes: Float32[np.ndarray, "time 478 3"]) -> SyncNetFaces:
    """Cuts the face out of every frame, with as much around it as SyncNet was trained with.

    Args:
        pictures: All of one size.
        meshes: Landmarks in the pictures' pixels; their box stands in for a detector's.
    """
    low, high = meshes[:, :, :2].min(axis=1), meshes[:, :, :2].max(axis=1)
    places = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    reach = _STEADY_FRAMES // 2
    padded = np.pad(places.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, _STEADY_FRAMES, axis=0), axis=-1)
    return np.stack([_cut(picture, *place) for picture, place in zip(pictures, steady, strict=True)])


def _cut(picture: Picture, x: float, y: float, half: float) -> UInt8[np.ndarray, "224 224 3"]:
    step = (_ABOVE + _BELOW) * half / _SIDE_PX
    corner = np.array([x - _ASIDE * half, y - _ABOVE * half]) + (step - 1) / 2
    transform = np.array([[step, 0, corner[0]], [0, step, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    around = (_BESIDE, _BESIDE, _BESIDE)
    cut = cv2.warpAffine(
        picture, transform, (_SIDE_PX, _SIDE_PX), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=around
    )
    return np.asarray(cut, np.uint8)


def cepstra(waveform: Waveform) -> Float64[np.ndarray, "bins 13"]:
    """Mel-frequency cepstra, 100 a second, the first of them the log energy, as the published network was given them.

    Windows of 25 ms without taper, 26 triangular filters to 8 kHz, liftered; samples count as 16-bit levels.

    Reference: Davis and Mermelstein, "Comparison of parametric representations", IEEE TASSP 1980.
    """
    levels = np.round(np.asarray(waveform, np.float64) * 32768).clip(-32768, 32767)
    levels = np.append(levels[:1], levels[1:] - _EMPHASIS * levels[:-1])
    count = 1 + max(-(-(len(levels) - _FRAME_SAMPLES) // _HOP_SAMPLES), 0)
    padded = np.pad(levels, (0, max((count - 1) * _HOP_SAMPLES + _FRAME_SAMPLES - len(levels), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME_SAMPLES)[::_HOP_SAMPLES][:count]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT
    energy = np.maximum(power.sum(axis=1), _NEAR_ZERO)
    bands = np.log(np.maximum(power @ _filters().T, _NEAR_ZERO))
    values = bands @ _cosines().T * (1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER))
    values[:, 0] = np.log(energy)
    return values


def _filters() -> Float64[np.ndarray, "26 257"]:
    """Triangles that meet at places equally spaced in mel."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_FFT + 1) * hertz / SAMPLE_RATE_HZ)
    places = np.arange(_FFT // 2 + 1)
    low, middle, high = (edges[k : k + _FILTERS, None] for k in range(3))
    rising = (places - low) / (middle - low)
    falling = (high - places) / (high - middle)
    inside = (places >= low) & (places < high)
    return np.where(inside, np.where(places < middle, rising, falling), 0.0)


def _cosines() -> Float64[np.ndarray, "13 26"]:
    """Rows of the orthonormal cosine transform."""
    angles = np.pi / _FILTERS * np.arange(_CEPSTRA)[:, None] * (np.arange(_FILTERS) + 0.5)
    rows = np.cos(angles) * np.sqrt(2 / _FILTERS)
    rows[0] /= np.sqrt(2)
    return rows


def _run(tower: ov.CompiledModel, window: Float[np.ndarray, "..."] | UInt8[np.ndarray, "..."]) -> SyncNetEmbeddings:
    return np.array(tower([np.ascontiguousarray(window[None], np.float32)])[0])
