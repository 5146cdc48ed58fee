"""The published SyncNet, for users who have its weights: confidence and distance on the scale that papers report.

The published face detector and cropping are not reproduced: faces are cut around the bounding box of our landmarks, so
the figures come near published ones but are not made in the same way (docs/decisions/0019).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from pcavs.errors import InputError, WeightsError, raise_if_out_of_memory
from pcavs.metrics.sync import MAX_SHIFT_FRAMES, SyncScore
from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Picture, Waveform
from pcavs.vino import ov

SYNCNET: Final = "syncnet-v2"
"""Name of the published weights, and the prefix of the converted files."""

_SIDE_PX: Final = 224
_WINDOW_FRAMES: Final = 5
_CEPSTRA: Final = 13
_BINS_PER_FRAME: Final = 4
_WINDOW_BINS: Final = 20
"""Inputs of the published networks: five frames of 224 px, and 20 bins (0.2 s) of 13 cepstral coefficients."""
_INT16_SCALE: Final = 32768
"""Maps samples in [-1, 1] onto the 16-bit levels that the published code reads."""

_REACH_UP, _REACH_DOWN, _REACH_ASIDE = 1.0, 1.8, 1.4
"""Distances from the centre of the face's box to the edges of the crop, in halves of the box's longer side, as
published (crop scale 0.4)."""
_MEDIAN_FRAMES: Final = 13
"""Window of the median filter of the box's place and size, as published."""
_PADDING_GREY: Final = 110
"""Grey level outside the picture, as published."""

_FRAME_SAMPLES: Final = 400
_HOP_SAMPLES: Final = 160
_FFT_SAMPLES: Final = 512
_FILTERS: Final = 26
_LIFTER: Final = 22
_PRE_EMPHASIS: Final = 0.97
"""The defaults of the package python_speech_features, which the published code calls: windows of 25 ms every 10 ms."""
_MIN_POWER: Final = float(np.finfo(float).eps)
"""Replaces a power of 0 before the logarithm, as in the same package."""
_MEL_FACTOR, _MEL_BREAK_HZ = 2595, 700
"""mel = 2595 log10(1 + hz / 700)."""

_DISTANCE_EPSILON: Final = 1e-6
"""Added to each difference before the norm, as torch's `pairwise_distance` does."""
_MIN_NORM: Final = 1e-12
"""Keeps the cosine finite for an embedding of zeros."""
_MAX_REASON_CHARACTERS: Final = 120
"""An error message quotes this much of the reason at most, to stay on one line."""

SyncNetEmbeddings = Float32[np.ndarray, "windows 1024"]
SyncNetFaces = UInt8[np.ndarray, "time 224 224 3"]
"""RGB."""


class SyncNetJudge:
    """Both towers of the published SyncNet, run by OpenVINO in float32."""

    name = SYNCNET

    def __init__(self, folder: Path) -> None:
        """Loads the files that `scripts/convert_judges.py` wrote.

        Raises:
            WeightsError: A file is damaged or missing.
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
            raise_if_out_of_memory(error)
            reason = " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]
            raise WeightsError(
                f"{SYNCNET} in {folder} cannot be used ({reason}); run scripts/convert_judges.py again"
            ) from error

    def embed_faces(self, faces: SyncNetFaces) -> SyncNetEmbeddings:
        """Embeds every window of five neighbouring frames; row k begins at frame k. Takes 50 ms per frame.

        Raises:
            InputError: There are fewer than five frames.
        """
        if len(faces) < _WINDOW_FRAMES:
            raise InputError(f"sync of {len(faces)} frames cannot be scored; give a video of at least {_WINDOW_FRAMES}")
        starts = range(len(faces) - _WINDOW_FRAMES + 1)
        windows = (faces[first : first + _WINDOW_FRAMES, :, :, ::-1].transpose(3, 0, 1, 2) for first in starts)
        return np.concatenate([_run(self._mouth, window) for window in windows])

    def embed_sound(self, waveform: Waveform) -> SyncNetEmbeddings:
        """Embeds the 0.2 s of sound that begin at each frame; rows match `embed_faces`."""
        values = mfcc(waveform).T.astype(np.float32)
        count = max((values.shape[1] - _WINDOW_BINS) // _BINS_PER_FRAME + 1, 0)
        windows = (values[None, :, _BINS_PER_FRAME * k : _BINS_PER_FRAME * k + _WINDOW_BINS] for k in range(count))
        return np.concatenate([_run(self._voice, window) for window in windows])


def find_syncnet(folder: Path) -> SyncNetJudge | None:
    """Loads the published SyncNet if the folder has it, else returns None."""
    return SyncNetJudge(folder) if (folder / f"{SYNCNET}-mouth.xml").is_file() else None


def score_syncnet(faces: SyncNetEmbeddings, sound: SyncNetEmbeddings) -> SyncScore:
    """Scores embeddings as the published evaluation does; the sound is padded with zero vectors at both ends.

    The distance is the smallest over all shifts (LSE-D in papers), the confidence the median minus it (LSE-C). The
    cosine is the mean at shift 0, which no paper reports.

    Reference: Prajwal et al., "A lip sync expert is all you need", ACM Multimedia 2020, section 4.
    """
    reach = MAX_SHIFT_FRAMES
    count = min(len(faces), len(sound))
    faces, sound = faces[:count], sound[:count]
    padded = np.pad(sound, ((reach, reach), (0, 0)))
    differences = (faces - padded[k : k + count] + _DISTANCE_EPSILON for k in range(2 * reach + 1))
    curve = np.array([np.linalg.norm(difference, axis=1).mean() for difference in differences])
    best = int(np.argmin(curve))
    norms = np.linalg.norm(faces, axis=1) * np.linalg.norm(sound, axis=1)
    cosine = float(((faces * sound).sum(axis=1) / np.maximum(norms, _MIN_NORM)).mean())
    return SyncScore(float(np.median(curve) - curve[best]), float(curve[best]), reach - best, cosine)


def syncnet_faces(pictures: Sequence[Picture], meshes: Float32[np.ndarray, "time 478 3"]) -> SyncNetFaces:
    """Cuts the face out of every frame with the margins that SyncNet was trained with.

    Args:
        pictures: Frames of one size.
        meshes: Their landmarks, in pixels of the frames; their bounding box replaces a face detector's.
    """
    low, high = meshes[:, :, :2].min(axis=1), meshes[:, :, :2].max(axis=1)
    places = np.column_stack([(low + high) / 2, (high - low).max(axis=1) / 2])
    reach = _MEDIAN_FRAMES // 2
    padded = np.pad(places.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_FRAMES, axis=0), axis=-1)
    return np.stack([_cut(picture, *place) for picture, place in zip(pictures, steady, strict=True)])


def _cut(picture: Picture, x: float, y: float, half: float) -> UInt8[np.ndarray, "224 224 3"]:
    """Resamples the square around (x, y); `half` is half of the box's longer side, in pixels."""
    step = (_REACH_UP + _REACH_DOWN) * half / _SIDE_PX
    corner = np.array([x - _REACH_ASIDE * half, y - _REACH_UP * half]) + (step - 1) / 2
    transform = np.array([[step, 0, corner[0]], [0, step, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    padding = (_PADDING_GREY, _PADDING_GREY, _PADDING_GREY)
    cut = cv2.warpAffine(
        picture, transform, (_SIDE_PX, _SIDE_PX), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=padding
    )
    return np.asarray(cut, np.uint8)


def mfcc(waveform: Waveform) -> Float64[np.ndarray, "bins 13"]:
    """Computes the mel-frequency cepstral coefficients that the published network takes, 100 rows a second.

    Rectangular windows of 25 ms, 26 triangular filters up to 8 kHz, liftered. The first coefficient is replaced by
    the logarithm of the energy. Samples count as 16-bit levels.

    Reference: Davis and Mermelstein, "Comparison of parametric representations", IEEE TASSP 1980.
    """
    levels = np.round(np.asarray(waveform, np.float64) * _INT16_SCALE).clip(-_INT16_SCALE, _INT16_SCALE - 1)
    levels = np.append(levels[:1], levels[1:] - _PRE_EMPHASIS * levels[:-1])
    count = 1 + max(-(-(len(levels) - _FRAME_SAMPLES) // _HOP_SAMPLES), 0)
    padded = np.pad(levels, (0, max((count - 1) * _HOP_SAMPLES + _FRAME_SAMPLES - len(levels), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME_SAMPLES)[::_HOP_SAMPLES][:count]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT_SAMPLES))) / _FFT_SAMPLES
    energy = np.maximum(power.sum(axis=1), _MIN_POWER)
    bands = np.log(np.maximum(power @ _filters().T, _MIN_POWER))
    values = bands @ _cosines().T * (1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER))
    values[:, 0] = np.log(energy)
    return values


def _filters() -> Float64[np.ndarray, "26 257"]:
    """Returns triangular filters whose corners are equally spaced in mel."""
    highest = _MEL_FACTOR * np.log10(1 + SAMPLE_RATE_HZ / 2 / _MEL_BREAK_HZ)
    hertz = _MEL_BREAK_HZ * (10 ** (np.linspace(0, highest, _FILTERS + 2) / _MEL_FACTOR) - 1)
    edges = np.floor((_FFT_SAMPLES + 1) * hertz / SAMPLE_RATE_HZ)
    places = np.arange(_FFT_SAMPLES // 2 + 1)
    low, middle, high = (edges[k : k + _FILTERS, None] for k in range(3))
    rising = (places - low) / (middle - low)
    falling = (high - places) / (high - middle)
    inside = (places >= low) & (places < high)
    return np.where(inside, np.where(places < middle, rising, falling), 0.0)


def _cosines() -> Float64[np.ndarray, "13 26"]:
    """Returns the first rows of the orthonormal discrete cosine transform."""
    angles = np.pi / _FILTERS * np.arange(_CEPSTRA)[:, None] * (np.arange(_FILTERS) + 0.5)
    rows = np.cos(angles) * np.sqrt(2 / _FILTERS)
    rows[0] /= np.sqrt(2)
    return rows


def _run(tower: ov.CompiledModel, window: Float[np.ndarray, "..."] | UInt8[np.ndarray, "..."]) -> SyncNetEmbeddings:
    return np.array(tower([np.ascontiguousarray(window[None], np.float32)])[0])
