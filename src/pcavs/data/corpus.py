"""Draws training batches from clips, whatever the clips are stored in.

`Corpus` holds the clips' sources, speakers and lengths; a subclass opens single clips (`PackCorpus` from packs in
memory, `ShardCorpus` from shards on disk). A batch is a function of the random generator alone, so a position in the
data is a seed and a step, and resuming needs no other state.
"""

import abc
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from pcavs.errors import DataError
from pcavs.spec import CONFIDENCE_CELLS, MEL_WINDOW_BINS, MelSpec
from pcavs.types import Confidence

NUM_CANDIDATES: Final = 4
"""Candidate frames for each target; one is chosen with a probability that grows with its distance from the identity
frame. Tuned by hand; not measured."""

MIN_CANDIDATE_DISTANCE: Final = 1e-4
"""Added to the distance of every candidate, as a fraction of the crop's side, so that a clip without motion can be
drawn from. Far below the noise of the landmarks."""

FIRST_FRAME_PROBABILITY: Final = 0.5
"""Probability that a clip's identity frame is its first frame, as when `pcavs animate` takes a video as identity; else
it is any frame. Tuned by hand; not measured."""

MAX_DRAWS: Final = 1000
"""Attempts at drawing a clip with speech before the data is refused."""

NUM_FACE_POINTS: Final = 468
"""Mesh points without the irises, which move with the gaze."""

Faces: TypeAlias = UInt8[np.ndarray, "time side side 3"]
"""Decoded faces, RGB, 0 to 255."""


class Batch(NamedTuple):
    """One identity frame of each clip, and `moments` times `joined` targets of each, ordered by clip, then by time.

    Faces are RGB in [-1, 1]. Landmarks have the crop spanning [-1, 1], pixel centre x at (2x + 1) / side - 1.
    """

    identity: Float[Tensor, "clips 3 side side"]
    target: Float[Tensor, "targets 3 side side"]
    identity_mesh: Float[Tensor, "clips 478 2"]
    target_mesh: Float[Tensor, "targets 478 2"]
    lips: Float[Tensor, "targets lip_numbers"]
    """Lip shape (`face.regions.lips_shape`) minus its clip's mean, in centimetres."""
    pose: Float[Tensor, "targets 12"]
    """Pose code (`face.pose.pose_code`)."""
    speech: Float[Tensor, "targets ..."]
    """What the speech encoder hears of each target: mel windows (1, 80, 20), or states (states, dim)."""
    heard: Float[Tensor, " targets"]
    """1 where the clip has speech; 0 where it has none, and `speech` is zero."""
    speaker: Int[Tensor, " clips"]
    """Index into `Corpus.speakers`."""
    truth: Float[Tensor, " targets"]
    """1 where the pose is a render's exact one, 0 where it was fitted to landmarks."""
    confidence: Float[Tensor, "targets 1 32 32"]
    """How far the pixels of the targets can be trusted, over their whole area: 1 as photographed, 0 invented."""


class SpeechBatch(NamedTuple):
    """Consecutive frames of some clips, for the training of the speech encoder."""

    states: Float[Tensor, "clips states dim"]
    """States of the frames, with those before and after that the speech encoder hears."""
    lips: Float[Tensor, "clips frames lip_numbers"]
    """Lip shape minus its clip's mean, in centimetres."""
    clip: Int[Tensor, " clips"]
    """Number of each clip in the corpus."""
    shown: Int[Tensor, "clips frames"]
    """Number of each frame in its clip."""
    moments: Int[Tensor, "clips moments"]
    """Some of the frames, counted from the first of the stretch, one in each of as many equal parts."""


class Hearing(NamedTuple):
    """How many states the speech encoder hears around a frame; see `spec.FlowSpec`."""

    past: int
    """States before the frame's own."""
    future: int
    """States after it."""


class Entry(NamedTuple):
    """What the draw needs to know of a clip."""

    speaker: str
    source: str
    frames: int
    heard: bool
    truth: bool
    faces: bool = True
    """False for lip tracks without pictures."""


class OpenClip(NamedTuple):
    """A clip that was drawn; `windows` and `faces` compute only the frames that they are given."""

    mesh: Float[np.ndarray, "time 478 3"]
    """Landmarks as fractions of the crop's side: pixel centre x is (x + 0.5) / side."""
    lips: Float[np.ndarray, "time lip_numbers"]
    mean_lips: Float32[np.ndarray, " lip_numbers"]
    pose: Float32[np.ndarray, "time 12"]
    windows: Callable[[Sequence[int]], Float32[np.ndarray, "time ..."]]
    """What the speech encoder hears of the given frames: mel windows, or states; zero where the clip has no sound."""
    faces: Callable[[Sequence[int]], Faces]
    confidence: Confidence | None = None
    """None where every pixel is as it was photographed."""


class Corpus(abc.ABC):
    """Clips indexed by source and speaker.

    A clip is drawn in three steps: a source by its weight, a speaker of the source with a probability proportional to
    the square root of the speaker's number of clips, and one of the speaker's clips.

    Attributes:
        frame_px: Side of the faces in pixels.
        speakers: Names of all speakers, sorted.
        num_heard: Number of clips with speech and faces.
    """

    def __init__(self, entries: Iterable[Entry], frame_px: int, weights: Mapping[str, float] | None = None) -> None:
        """Indexes the clips.

        Args:
            entries: The clips; a clip's number is its place here.
            frame_px: Side of the faces in pixels.
            weights: Weights of the sources; a source that is left out weighs 1.

        Raises:
            DataError: There is no clip, a weight names no source, or a weight is out of range.
        """
        self.entries = list(entries)
        self.frame_px = frame_px
        if not self.entries:
            raise DataError("the data has no clip of this split; prepare clips for it, or give other data")
        self._sources = sorted({entry.source for entry in self.entries})
        self._source_probabilities = _source_probabilities(self._sources, weights or {})
        self.speakers = tuple(sorted({entry.speaker for entry in self.entries}))
        self._speaker_index = {name: index for index, name in enumerate(self.speakers)}
        self.num_heard = sum(entry.heard and entry.faces for entry in self.entries)
        by_speaker: dict[str, dict[str, list[int]]] = {source: {} for source in self._sources}
        for index, entry in enumerate(self.entries):
            by_speaker[entry.source].setdefault(entry.speaker, []).append(index)
        self._clips_of = {source: list(speakers.values()) for source, speakers in by_speaker.items()}
        # The square root keeps a speaker with most of a source's clips (570 of 584 in a set of GRID) from being nearly
        # all that is drawn.
        self._speaker_probabilities = {
            source: _normalised(np.sqrt([len(clips) for clips in speakers]))
            for source, speakers in self._clips_of.items()
        }

    @abc.abstractmethod
    def open_clip(self, clip: int) -> OpenClip:
        """Opens the clip of this number."""

    def stretches(self, rng: np.random.Generator, clips: int, frames: int, moments: int) -> SpeechBatch:
        """Draws consecutive frames of clips with speech; only corpora with states can.

        Args:
            rng: The only source of randomness.
            clips: Number of clips; a clip may be drawn twice.
            frames: Consecutive frames of each; a shorter clip repeats its last frame, and what is heard there.
            moments: Frames of each clip that are drawn from these, one in each of as many equal parts.

        Raises:
            DataError: The clips have no states, or no clip with speech could be drawn.
        """
        raise DataError("stage speech needs packs with speech features; make them with `pcavs pack`")

    def batch(
        self, rng: np.random.Generator, clips: int, moments: int, *, joined: int = 1, heard_only: bool = False
    ) -> Batch:
        """Draws clips and, of each, an identity frame and targets that differ from it.

        Args:
            rng: The only source of randomness.
            clips: Number of clips; a clip may be drawn twice.
            moments: Target times per clip, one in each of as many equal parts of the clip.
            joined: Consecutive frames of each moment; a clip that is shorter repeats its last frame.
            heard_only: Leaves out clips without speech.

        Raises:
            DataError: No clip with speech could be drawn, or a clip is damaged.
        """
        drawn = [self._draw_clip(rng, heard_only) for _ in range(clips)]
        firsts = [
            0 if rng.random() < FIRST_FRAME_PROBABILITY else int(rng.integers(self.entries[clip].frames))
            for clip in drawn
        ]
        opened = [self.open_clip(clip) for clip in drawn]
        starts = [draw_targets(rng, clip.mesh, first, moments) for clip, first in zip(opened, firsts, strict=True)]
        targets = [consecutive(each, joined, len(clip.mesh)) for clip, each in zip(opened, starts, strict=True)]
        faces = [clip.faces([first, *f]) for clip, first, f in zip(opened, firsts, targets, strict=True)]
        pairs = list(zip(opened, targets, strict=True))
        heard, truth = ([float(getattr(self.entries[c], name)) for c in drawn] for name in ("heard", "truth"))
        return Batch(
            identity=pictures([each[:1] for each in faces]),
            target=pictures([each[1:] for each in faces]),
            identity_mesh=_mesh([clip.mesh[[first]] for clip, first in zip(opened, firsts, strict=True)]),
            target_mesh=_mesh([clip.mesh[frames] for clip, frames in pairs]),
            lips=_floats([clip.lips[frames] - clip.mean_lips for clip, frames in pairs]),
            pose=_floats([clip.pose[frames] for clip, frames in pairs]),
            speech=_floats([clip.windows(frames) for clip, frames in pairs]),
            heard=torch.tensor(heard).repeat_interleave(moments * joined),
            speaker=torch.tensor([self._speaker_index[self.entries[clip].speaker] for clip in drawn]),
            truth=torch.tensor(truth).repeat_interleave(moments * joined),
            confidence=_confidence([(clip.confidence, frames) for clip, frames in pairs]),
        )

    def _draw_clip(self, rng: np.random.Generator, heard_only: bool, with_faces: bool = True) -> int:
        for _ in range(MAX_DRAWS):
            source = self._sources[int(rng.choice(len(self._sources), p=self._source_probabilities))]
            probabilities = self._speaker_probabilities[source]
            clips = self._clips_of[source][int(rng.choice(len(probabilities), p=probabilities))]
            clip = clips[int(rng.integers(len(clips)))]
            entry = self.entries[clip]
            if (entry.heard or not heard_only) and (entry.faces or not with_faces):
                return clip
        wanted = "clips with speech" if heard_only else "clips with faces"
        raise DataError(f"this stage needs {wanted}, and none can be drawn; add some, or raise their source's weight")


def draw_targets(
    rng: np.random.Generator, mesh: Float[np.ndarray, "time 478 3"], first: int, moments: int
) -> list[int]:
    """Draws one frame in each of `moments` equal parts of a clip, preferring frames unlike the identity frame.

    Of `NUM_CANDIDATES` random frames of a part, one is chosen with a probability proportional to the mean distance of
    its landmarks from those of frame `first`: pairs of equal frames would teach the generator to copy. A part shorter
    than a frame gives the frame at its start.
    """
    edges = np.linspace(0, len(mesh), moments + 1)
    targets = []
    for start, stop in itertools.pairwise(edges):
        frames = np.minimum(rng.integers(int(start), max(int(start) + 1, int(stop)), NUM_CANDIDATES), len(mesh) - 1)
        candidates, identity = (mesh[at, :NUM_FACE_POINTS, :2].astype(np.float32) for at in (frames, first))
        distance = np.abs(candidates - identity).mean(axis=(1, 2))
        weights = distance + MIN_CANDIDATE_DISTANCE
        targets.append(int(frames[int(rng.choice(NUM_CANDIDATES, p=weights / weights.sum()))]))
    return targets


def consecutive(starts: list[int], joined: int, length: int) -> list[int]:
    """Extends each start to `joined` consecutive frames of a clip of `length` frames.

    A run that would pass the clip's end starts earlier; a clip shorter than `joined` repeats its last frame.
    """
    earlier = (min(start, max(0, length - joined)) for start in starts)
    return [min(start + offset, length - 1) for start in earlier for offset in range(joined)]


def silent_windows(frames: Sequence[int]) -> Float32[np.ndarray, "time 1 80 20"]:
    """Returns the mel windows of a clip without sound: zeros."""
    return np.zeros((len(frames), 1, MelSpec().mel_channels, MEL_WINDOW_BINS), np.float32)


def _source_probabilities(sources: list[str], weights: Mapping[str, float]) -> Float[np.ndarray, " sources"]:
    unknown = sorted(set(weights) - set(sources))
    if unknown:
        raise DataError(f"no clips of source {', '.join(unknown)}; this data holds {', '.join(sources)}")
    shares = np.array([weights.get(source, 1.0) for source in sources], np.float64)
    if shares.min() < 0 or shares.sum() == 0:
        raise DataError(f"source weights {shares.tolist()}: none may be negative, and one must be above zero")
    return _normalised(shares)


def _normalised(values: Float[np.ndarray, " any"]) -> Float[np.ndarray, " any"]:
    return values / values.sum()


def pictures(faces: list[np.ndarray]) -> Float[Tensor, "count 3 side side"]:
    """Converts lists of faces, uint8 (time, side, side, 3), to one tensor, RGB in [-1, 1]."""
    # Scaled in place: 192 faces of 256 px take 150 MB as float32.
    return torch.from_numpy(np.concatenate(faces)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _mesh(meshes: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(meshes)[:, :, :2].astype(np.float32)) * 2 - 1


def _floats(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.float32))


def _confidence(clips: list[tuple[Confidence | None, list[int]]]) -> Tensor:
    size = CONFIDENCE_CELLS, CONFIDENCE_CELLS
    masks = [
        np.full((len(frames), *size), 255, np.uint8) if masks is None else masks[frames] for masks, frames in clips
    ]
    return torch.from_numpy(np.concatenate(masks))[:, None].float().div_(255)
