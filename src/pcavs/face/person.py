"""Segments people from their background with MediaPipe's selfie segmentation, run by OpenVINO."""

import functools
from importlib import resources
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.runtime.cache import compile_network
from pcavs.runtime.openvino import Network, cpu_settings
from pcavs.types import Picture
from pcavs.vino import ov

PERSON_PX: Final = 256
"""Side of the network's input, and of the mask."""
_NETWORK: Final = "selfie_segmentation.tflite"
"""File of the network without its last layer."""
_LAST_LAYER: Final = "selfie_segmentation_last.npz"
"""File of the last layer's weights."""


class PersonSegmenter:
    """Computes a mask of the people in a picture: skin, hair, clothes, and what they wear and hold.

    The network's last layer, a transposed convolution that is a custom operation of MediaPipe, is computed here.

    Reference: MediaPipe Selfie Segmentation (general model), model card, Google, 2021.
    """

    def __init__(self, threads: int = 1) -> None:
        """Loads and compiles the network (about 0.1 s)."""
        assets = resources.files("pcavs") / "assets" / "face"
        with resources.as_file(assets / _NETWORK) as path:
            read = functools.partial(ov.Core().read_model, path)
            self._network = Network(compile_network([path], read, cpu_settings("f32", threads)))
        with resources.as_file(assets / _LAST_LAYER) as path, np.load(path, allow_pickle=False) as last:
            self._weight = last["weight"].astype(np.float32)
            self._bias = float(last["bias"])

    def person_mask(self, picture: Picture) -> Float32[np.ndarray, "256 256"]:
        """Computes the mask of the whole picture: 0 is background, 1 a person.

        Args:
            picture: RGB, about square, head and shoulders of one person. Other people are part of the mask as well.
        """
        method = cv2.INTER_AREA if min(picture.shape[:2]) > PERSON_PX else cv2.INTER_LINEAR
        small = cv2.resize(picture, (PERSON_PX, PERSON_PX), interpolation=method).astype(np.float32) / 255
        features = self._network([small[None]])[0][0]
        # A transposed convolution of stride 2 whose 2 x 2 kernels do not overlap.
        logits = np.einsum("ijc,klc->ikjl", features, self._weight).reshape(PERSON_PX, PERSON_PX) + self._bias
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), np.float32)
