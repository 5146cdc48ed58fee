"""What can be seen in a film: the face tracker's word on every frame, and the judges' embeddings."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import lips_shape, mouth_opening
from pcavs.face.smooth import smooth_meshes
from pcavs.face.track import TrackPolicy, track_face
from pcavs.metrics.crops import MouthCrops, mouth_crops
from pcavs.metrics.identity import Embedding, FaceEmbedder, find_embedders
from pcavs.metrics.perceptual import PerceptualDistance, find_distances
from pcavs.metrics.sync import Embeddings, SyncJudge
from pcavs.metrics.syncnet import SyncNetEmbeddings, SyncNetJudge, find_syncnet
from pcavs.spec import FRAME_RATE
from pcavs.types import MelWindows, Picture, Waveform

Meshes = Float32[np.ndarray, "time 478 3"]

_IDENTITY_FRAMES: Final = 4
"""Frames of a film whose identity is looked at, evenly spread."""


class Tools(NamedTuple):
    """Everything that looks at films; loaded once in each process."""

    landmarker: FaceLandmarker
    judge: SyncJudge
    embedders: tuple[FaceEmbedder, ...]
    distances: tuple[PerceptualDistance, ...] = ()
    syncnet: SyncNetJudge | None = None


class Heard(NamedTuple):
    """A sound as the sync judges hear it."""

    ours: Embeddings
    syncnet: SyncNetEmbeddings | None = None


class Seen(NamedTuple):
    """A film as the tracker sees it."""

    faces: Sequence[Picture]
    raw: Meshes
    """Pixels of the film, unsmoothed: what jitters, jitters here."""
    meshes: Meshes
    """Smoothed without lag."""
    opening: Float32[np.ndarray, " time"]
    """Gap of the lips as a share of the eye distance."""
    lips: Float[np.ndarray, "time 80"]
    """Lip shape in the head's own frame, cm."""
    angles: Float[np.ndarray, "time 3"]
    """Yaw, pitch and roll in degrees."""
    crops: MouthCrops
    found: float
    """Share of frames in which the face was found."""


@functools.lru_cache(maxsize=4)
def load_tools(judges: Path) -> Tools:
    """Loads the tracker, the sync judge and whichever other judges the folder has."""
    # Clips are spread over processes; OpenCV's own threads would only get into each other's way.
    cv2.setNumThreads(1)
    return Tools(
        landmarker=FaceLandmarker(threads=1),
        judge=SyncJudge(),
        embedders=tuple(find_embedders(judges)),
        distances=tuple(find_distances(judges)),
        syncnet=find_syncnet(judges),
    )


def judges_folder(given: Path | None) -> Path:
    """Where identity networks lie unless the user says otherwise."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return given or cache / "pcavs" / "judges"


def hear(windows: MelWindows, waveform: Waveform, tools: Tools) -> Heard:
    """Lets the sync judges hear a sound, given as it is and as windows of its mel spectrogram."""
    return Heard(tools.judge.heard(windows), tools.syncnet.heard(waveform) if tools.syncnet else None)


def observe(faces: Sequence[Picture], tools: Tools, name: str) -> Seen:
    """Tracks a film and measures its mouth and head.

    Raises:
        FaceError: No frame shows a face.
    """
    track = track_face(faces, tools.landmarker, name, TrackPolicy(smoothed=False))
    return seen_as(faces, track.meshes, float(track.found.mean()))


def seen_as(faces: Sequence[Picture], raw: Meshes, found: float = 1.0) -> Seen:
    """As `observe`, where the landmarks are known."""
    meshes = smooth_meshes(raw, FRAME_RATE)
    angles = angles_deg(head_pose(meshes).rotation.astype(np.float64))
    return Seen(
        faces, raw, meshes, mouth_opening(meshes), lips_shape(meshes), angles, mouth_crops(faces, meshes), found
    )


def identity_of(seen: Seen, embedder: FaceEmbedder, frames: Sequence[int] | None = None) -> list[Embedding]:
    """Embeds some frames of a film; four, evenly spread, where none are named."""
    spread = np.linspace(0, len(seen.faces) - 1, _IDENTITY_FRAMES).round().astype(int)
    embeddings = []
    for t in map(int, spread if frames is None else frames):
        transform = clip_transform(seen.meshes[t : t + 1], embedder.crop, embedder.side_px)
        embeddings.append(embedder.embed(crop_picture(seen.faces[t], transform, embedder.side_px)))
    return embeddings
