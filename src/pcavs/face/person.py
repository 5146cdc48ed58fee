"""Tells a person from what is behind, with MediaPipe's selfie segmentation run by OpenVINO."""

from importlib import resources
from typing import Final

import cv2
import numpy as np
import openvino as ov
from jaxtyping import Float32

from pcavs.runtime.openvino import cpu_settings
from pcavs.types import Picture

PERSON_PX: Final = 256
"""Side at which a picture is looked at, and of what is said of it."""
_NETWORK: Final = "selfie_segmentation.tflite"
_LAST_LAYER: Final = "selfie_segmentation_last.npz"


class PersonSegmenter:
    """Says of each place of a picture whether it shows a person: skin, hair, clothes, and what they wear and hold.

    The network's last layer, a transposed convolution that only MediaPipe knows how to run, is computed here.

    Reference: MediaPipe Selfie Segmentation (general model), model card, Google, 2021.
    """

    def __init__(self, threads: int = 1) -> None:
        """Loads and compiles the network (about 0.1 s)."""
        core, assets = ov.Core(), resources.files("pcavs") / "assets" / "face"
        with resources.as_file(assets / _NETWORK) as path:
            self._network = core.compile_model(core.read_model(path), "CPU", cpu_settings("f32", threads))
        with resources.as_file(assets / _LAST_LAYER) as path, np.load(path, allow_pickle=False) as last:
            self._weight = last["weight"].astype(np.float32)
            self._bias = float(last["bias"])

    def person_mask(self, picture: Picture) -> Float32[np.ndarray, "256 256"]:
        """Gives the share of each place, 0 to 1, that shows a person.

        Args:
            picture: About square, head and shoulders of one person; other people count as well.
        """
        method = cv2.INTER_AREA if min(picture.shape[:2]) > PERSON_PX else cv2.INTER_LINEAR
        small = cv2.resize(picture, (PERSON_PX, PERSON_PX), interpolation=method).astype(np.float32) / 255
        features = self._network([small[None]])[0][0]
        logits = np.einsum("ijc,klc->ikjl", features, self._weight).reshape(PERSON_PX, PERSON_PX) + self._bias
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), np.float32)
