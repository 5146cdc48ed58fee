"""A `paper` talker without networks, which answers to loudness and remembers what it was shown."""

import numpy as np

from helpers.talkers import LOUD, QUIET, WINDOW_CENTRE, mouth_area
from pcavs.runtime.base import FaceArrays, IdentityArrays
from pcavs.spec import TINY_PAPER, PaperSpec, TalkerSpec


class LoudFace:
    """A white face whose mouth, a patch, darkens with the loudness at the centre of the mel window."""

    description = "loud face"

    def __init__(self, paper: PaperSpec = TINY_PAPER) -> None:
        self.spec = TalkerSpec(kind="paper", paper=paper)
        self.seen: list[np.ndarray] = []
        """Faces whose pose was asked for, one after the other."""
        self.posed: list[np.ndarray] = []
        """Poses that were rendered."""

    def encode_identity(self, face: np.ndarray) -> IdentityArrays:
        self.portrait = face
        pose = np.full(12, face.mean() / 255, np.float32)
        return IdentityArrays(
            np.zeros(1, np.float32), (np.zeros((1, 2, 2), np.float32),), np.zeros(1, np.float32), pose
        )

    def encode_pose(self, faces: np.ndarray) -> np.ndarray:
        first = len(self.seen)
        self.seen.extend(faces)
        numbers = np.arange(first, len(self.seen), dtype=np.float32)
        return np.repeat(numbers[:, None], 12, axis=1)

    def encode_lips(self, faces: np.ndarray) -> np.ndarray:
        return np.zeros((len(faces), 1), np.float32)

    def encode_speech(self, windows: np.ndarray) -> np.ndarray:
        loudness = windows[:, 0, :, WINDOW_CENTRE].mean(axis=1).mean(axis=1, keepdims=True)
        return ((loudness - QUIET) / (LOUD - QUIET)).clip(0, 1).astype(np.float32)

    def render(self, identity: IdentityArrays, content: np.ndarray, pose: np.ndarray) -> FaceArrays:
        self.posed.append(pose)
        side = self.spec.sizes.frame_px
        face = np.ones((3, side, side), np.float32)
        face[:, *mouth_area(side)] = 1 - 2 * content[0]
        return FaceArrays(face)
