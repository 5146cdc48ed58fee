"""Tracks the face in a film and prepares what the metrics need: landmarks, mouth crops, angles and embeddings."""

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
from pcavs.face.regions import lips_shape, mouth_opening, mouth_width
from pcavs.face.smooth import smooth_meshes
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.crops import MouthCrops, mouth_crops
from pcavs.metrics.identity import Embedding, FaceEmbedder, find_embedders
from pcavs.metrics.perceptual import PerceptualDistance, find_distances
from pcavs.metrics.sync import Embeddings, SyncJudge
from pcavs.metrics.syncnet import SyncNetEmbeddings, SyncNetJudge, find_syncnet
from pcavs.spec import FRAME_RATE, MelSpec
from pcavs.types import MelWindows, Picture, Waveform

Meshes = Float32[np.ndarray, "time 478 3"]

_IDENTITY_FRAMES: Final = 4
"""Evenly spaced frames of a film whose identity is embedded. Tuned by hand; not measured."""


class Judges(NamedTuple):
    """The frozen networks that score films; loaded once per process."""

    landmarker: FaceLandmarker
    sync: SyncJudge
    embedders: tuple[FaceEmbedder, ...]
    """Identity networks."""
    perceptual: tuple[PerceptualDistance, ...] = ()
    """LPIPS networks."""
    syncnet: SyncNetJudge | None = None


class SoundEmbeddings(NamedTuple):
    """Embeddings of a sound by the sync judges."""

    sync: Embeddings
    syncnet: SyncNetEmbeddings | None = None


class Observation(NamedTuple):
    """A film with the measurements of the face tracker."""

    faces: Sequence[Picture]
    raw_meshes: Meshes
    """Unsmoothed landmarks in pixels of the film, for the jitter metric."""
    meshes: Meshes
    """Landmarks smoothed without lag."""
    opening: Float32[np.ndarray, " time"]
    """Gap between the inner lips, in eye distances."""
    width: Float32[np.ndarray, " time"]
    """Distance between the mouth corners, in eye distances."""
    lips: Float[np.ndarray, "time 80"]
    """Lip shape without the head's position, size and rotation, in cm (`face.regions.lips_shape`)."""
    angles_deg: Float[np.ndarray, "time 3"]
    """Yaw, pitch and roll."""
    crops: MouthCrops
    found_share: float
    """Share of frames in which the face was found, 0 to 1."""


@functools.lru_cache(maxsize=4)
def load_judges(folder: Path) -> Judges:
    """Loads the face tracker, the sync judge of the package, and those optional judges that the folder has."""
    # Clips are distributed over processes, so that threads of OpenCV would only compete for the same cores.
    cv2.setNumThreads(1)
    return Judges(
        landmarker=FaceLandmarker(threads=1),
        sync=SyncJudge(),
        embedders=tuple(find_embedders(folder)),
        perceptual=tuple(find_distances(folder)),
        syncnet=find_syncnet(folder),
    )


def judges_folder(given: Path | None) -> Path:
    """Returns the folder of the optional judges: the given one, or `pcavs/judges` in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return given or cache / "pcavs" / "judges"


def frame_windows(waveform: Waveform, num_frames: int) -> MelWindows:
    """Computes the mel window of each frame, the sync judge's input."""
    return mel_windows(padded_mel(waveform, num_frames, MelSpec()))


def embed_sound(windows: MelWindows, waveform: Waveform, judges: Judges) -> SoundEmbeddings:
    """Embeds a sound, given as mel windows and as a waveform, with the sync judges."""
    return SoundEmbeddings(
        judges.sync.embed_sound(windows), judges.syncnet.embed_sound(waveform) if judges.syncnet else None
    )


def embed_own_sound(waveform: Waveform, num_frames: int, judges: Judges) -> SoundEmbeddings:
    """Embeds a sound with the project's own sync judge alone, which takes little time."""
    return SoundEmbeddings(judges.sync.embed_sound(frame_windows(waveform, num_frames)))


def observe(faces: Sequence[Picture], judges: Judges, name: str) -> Observation:
    """Tracks the face in a film and measures mouth and head.

    Args:
        faces: The film's frames.
        judges: The face tracker is used.
        name: The film's name, for error messages.

    Raises:
        FaceError: No frame shows a face.
    """
    track = track_face(faces, judges.landmarker, name, TrackPolicy(smoothed=False))
    return observe_landmarks(faces, track.meshes, float(track.found.mean()))


def observe_landmarks(faces: Sequence[Picture], raw_meshes: Meshes, found_share: float = 1.0) -> Observation:
    """Measures mouth and head of a film whose unsmoothed landmarks are known."""
    meshes = smooth_meshes(raw_meshes, FRAME_RATE)
    return Observation(
        faces=faces,
        raw_meshes=raw_meshes,
        meshes=meshes,
        opening=mouth_opening(meshes),
        width=mouth_width(meshes),
        lips=lips_shape(meshes),
        angles_deg=angles_deg(head_pose(meshes).rotation.astype(np.float64)),
        crops=mouth_crops(faces, meshes),
        found_share=found_share,
    )


def identity_embeddings(
    film: Observation, embedder: FaceEmbedder, frames: Sequence[int] | None = None
) -> list[Embedding]:
    """Embeds the given frames of a film; four evenly spaced ones by default."""
    spaced = np.linspace(0, len(film.faces) - 1, _IDENTITY_FRAMES).round().astype(int)
    embeddings = []
    for t in map(int, spaced if frames is None else frames):
        transform = clip_transform(film.meshes[t : t + 1], embedder.crop, embedder.side_px)
        embeddings.append(embedder.embed(crop_picture(film.faces[t], transform, embedder.side_px)))
    return embeddings


def reference_identity(truth: Observation, judges: Judges) -> dict[str, Embedding]:
    """Embeds the first frame of the ground truth, the identity reference, with each identity network."""
    first = observe_landmarks(truth.faces[:1], truth.raw_meshes[:1])
    return {embedder.name: identity_embeddings(first, embedder, [0])[0] for embedder in judges.embedders}
