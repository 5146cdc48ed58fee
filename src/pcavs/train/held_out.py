"""Scores a talker on held-out seconds of one person's video: makes the film of their speech and compares the lips."""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import nn

from pcavs.animate.film import Look, Scene, SoundTrack, build_film
from pcavs.animate.head_motion import HeadMotion, own_row
from pcavs.animate.identity import identity_of
from pcavs.animate.speech_input import speech_input
from pcavs.animate.timing import choose_timing
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import lips_shape, mouth_opening
from pcavs.face.smooth import smooth_meshes
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.speech import ArrayWindows
from pcavs.metrics.crops import mouth_crops
from pcavs.metrics.curves import correlation
from pcavs.metrics.landmark import shape_distance
from pcavs.metrics.sync import SyncJudge
from pcavs.prepare.packing import resized
from pcavs.runtime.base import Features
from pcavs.runtime.torch import TorchRuntime
from pcavs.spec import FRAME_RATE, TalkerSpec
from pcavs.types import Mesh, Picture, Waveform

_MM_PER_CM: Final = 10
_UNUSED: Final = Path()
"""Sound of a film that no file is written of."""


class Speech(NamedTuple):
    """A stretch of speech that the person was filmed speaking."""

    waveform: Waveform
    meshes: Float32[np.ndarray, "time 478 3"]
    """Landmarks of the person in it, one row for each frame of the sound."""


class Portrait(NamedTuple):
    """An aligned face of the person, which films animate."""

    picture: Picture
    """Square crop, RGB."""
    mesh: Mesh
    """Its landmarks, in pixels of the picture."""


class LipScore(NamedTuple):
    """How a film's lips follow the person's own, over all held-out seconds."""

    error_mm: float
    """Mean distance of the lip landmarks from the person's own, head motion and mean shape removed
    (`lip_shape_error_mm` of `pcavs evaluate`); infinite if a film shows no face."""
    opening: float
    """Correlation of the mouth's opening with the person's own, -1 to 1."""
    confidence: float
    """Confidence of the sync judge (`metrics.sync`)."""

    def text(self) -> str:
        """Returns the scores in words."""
        if math.isinf(self.error_mm):
            return "a film shows no face"
        return (
            f"lips {self.error_mm:.2f} mm from the truth, opening followed r {self.opening:.2f}, "
            f"sync confidence {self.confidence:.2f}"
        )


class HeldOutFilm:
    """Makes and scores films of held-out speech, with the head held still, as `pcavs animate` makes them."""

    def __init__(
        self, portrait: Portrait, speech: Sequence[Speech], spec: TalkerSpec, features: Features | None
    ) -> None:
        """Takes what the films are made of.

        Args:
            portrait: The person.
            speech: What is spoken, and the landmarks of the person in it.
            spec: Spec of the talkers that are scored.
            features: Computes the states that they hear; None if they hear mel windows.
        """
        self._portrait, self._speech, self._spec, self._features = portrait, speech, spec, features
        self._landmarker, self._judge = FaceLandmarker(), SyncJudge()

    @property
    def seconds(self) -> float:
        """Length of the speech."""
        return sum(len(each.meshes) for each in self._speech) / FRAME_RATE

    def score(self, networks: Mapping[str, nn.Module], device: torch.device) -> LipScore:
        """Makes the films and scores them; a stretch counts as often as it has frames.

        Args:
            networks: Of `models.inference.inference_networks`.
            device: Where they run.
        """
        runtime = TorchRuntime(networks, self._spec, device, self._features)
        rows = [(len(each.meshes), self._score(runtime, each)) for each in self._speech]
        counts, scores = zip(*rows, strict=True)
        return LipScore(*(float(np.average(values, weights=counts)) for values in zip(*scores, strict=True)))

    def _score(self, runtime: TorchRuntime, speech: Speech) -> LipScore:
        frames = self._film(runtime, speech.waveform)
        try:
            made = track_face(frames, self._landmarker, "the film", TrackPolicy(smoothed=False)).meshes
        except FaceError:
            return LipScore(math.inf, 0.0, 0.0)
        count = min(len(made), len(speech.meshes))
        # The truth was smoothed when it was prepared.
        meshes = [smooth_meshes(made[:count], FRAME_RATE), speech.meshes[:count]]
        openings = [mouth_opening(each).astype(np.float64) for each in meshes]
        windows = mel_windows(padded_mel(speech.waveform, count, self._spec.mel))
        lips = lips_shape(meshes[0])
        sync = self._judge.score(mouth_crops(frames[:count], meshes[0]), lips, windows)
        return LipScore(lip_error_mm(*meshes), correlation(*openings), sync.confidence)

    def _film(self, runtime: TorchRuntime, waveform: Waveform) -> list[Picture]:
        spec, (picture, mesh) = self._spec, self._portrait
        timing = choose_timing(None, spec)
        num_frames = timing.count_frames(len(waveform), spec.mel)
        identity = identity_of(runtime.encode_identity(resized(picture, spec.sizes.frame_px)), picture, mesh)
        own, mel = own_row(identity), timing.mel(waveform, num_frames, spec.mel)
        scene = Scene(
            identity=identity,
            mel=mel,
            speech=speech_input(runtime, mel, functools.partial(ArrayWindows, waveform)),
            num_frames=num_frames,
            motion=HeadMotion(own[None], own),
            timing=timing,
        )
        return list(build_film(runtime, scene, Look(blinks=False), SoundTrack(path=_UNUSED), {}).frames)


def lip_error_mm(made: Float[np.ndarray, "time 478 3"], truth: Float[np.ndarray, "time 478 3"]) -> float:
    """Returns the mean distance of lip landmarks in mm, head motion and each film's mean shape removed."""
    shapes = (lips_shape(each).reshape(len(each), -1, 2) for each in (made, truth))
    return float(shape_distance(*shapes).mean()) * _MM_PER_CM
