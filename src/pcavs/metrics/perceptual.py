"""How unlike two pictures look to people: LPIPS, where the user has its weights.

Its backbone was trained on ImageNet, whose terms allow research only, so it does not ride in the package;
`scripts/convert_judges.py` makes a network of the user's own files (docs/decisions/0055).
"""

import json
from pathlib import Path
from typing import Final

import numpy as np
import openvino as ov

from pcavs.errors import WeightsError
from pcavs.runtime.openvino import cpu_settings
from pcavs.types import Picture

LPIPS: Final = ("lpips-alex", "lpips-vgg")
"""Networks that are looked for, by name."""


class PerceptualDistance:
    """LPIPS as an OpenVINO network, in float32."""

    def __init__(self, network: Path) -> None:
        """Loads `lpips-alex.xml` or `lpips-vgg.xml`, with the facts that lie beside it.

        Raises:
            WeightsError: It is damaged, or nothing says where its weights come from.
        """
        self.name = network.stem
        try:
            self.facts = json.loads(network.with_suffix(".json").read_text())
            core = ov.Core()
            settings = cpu_settings()
            self._network = core.compile_model(core.read_model(network), "CPU", settings)
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{network} cannot be used ({' '.join(str(error).split())[:120]}); make it anew by convert_judges.py"
            ) from error

    def distance(self, made: Picture, truth: Picture) -> float:
        """Gives 0 for equal pictures, about 0.1 for faithful and 0.7 for unrelated ones; both of 64 px at least."""
        both = [np.asarray(picture[None].transpose(0, 3, 1, 2), np.float32) / 127.5 - 1 for picture in (made, truth)]
        return float(self._network(both)[0][0])


def find_distances(folder: Path) -> list[PerceptualDistance]:
    """Loads the networks that are in a folder; none is an answer too."""
    places = [folder / f"{name}.xml" for name in LPIPS]
    return [PerceptualDistance(place) for place in places if place.is_file()]
