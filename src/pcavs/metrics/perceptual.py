"""LPIPS, a learned perceptual distance of two pictures, for users who have its weights.

The AlexNet or VGG16 backbone was trained on ImageNet, whose terms allow research only, so the package does not contain
it; `scripts/convert_judges.py` converts the user's own files (docs/decisions/0019).
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.errors import WeightsError, raise_if_out_of_memory
from pcavs.runtime.openvino import cpu_settings
from pcavs.types import Picture
from pcavs.vino import ov

LPIPS: Final = ("lpips-alex", "lpips-vgg")
"""File names, without ending, of the networks that `find_distances` looks for."""

_HALF_RANGE: Final = 127.5
"""Maps 0 to 255 onto -1 to 1, the input range of LPIPS."""
_MAX_REASON_CHARACTERS: Final = 120
"""An error message quotes this much of the reason at most, to stay on one line."""


class PerceptualDistance:
    """LPIPS as an OpenVINO network in float32.

    Reference: Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a
    perceptual metric", CVPR 2018.
    """

    def __init__(self, network: Path) -> None:
        """Loads `lpips-alex.xml` or `lpips-vgg.xml` and the JSON beside it, which names the source files.

        Raises:
            WeightsError: The network or its JSON is damaged or missing.
        """
        self.name = network.stem
        try:
            self.facts = json.loads(network.with_suffix(".json").read_text())
            core = ov.Core()
            settings = cpu_settings()
            self._network = core.compile_model(core.read_model(network), "CPU", settings)
        except (OSError, ValueError, RuntimeError) as error:
            raise_if_out_of_memory(error)
            reason = " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]
            raise WeightsError(f"{network} cannot be used ({reason}); run scripts/convert_judges.py again") from error

    def distance(self, made: Picture, truth: Picture) -> float:
        """Computes the LPIPS distance of two pictures of one size, each at least 64 px a side.

        0 for equal pictures, about 0.1 for a faithful copy, about 0.7 for unrelated pictures.
        """
        both = [
            np.asarray(picture[None].transpose(0, 3, 1, 2), np.float32) / _HALF_RANGE - 1 for picture in (made, truth)
        ]
        return float(self._network(both)[0][0])


def find_distances(folder: Path) -> list[PerceptualDistance]:
    """Loads the LPIPS networks in a folder; the list is empty where there are none."""
    places = [folder / f"{name}.xml" for name in LPIPS]
    return [PerceptualDistance(place) for place in places if place.is_file()]
