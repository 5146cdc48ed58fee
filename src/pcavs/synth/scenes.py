"""Draws the scene of a clip: light, exposure, camera and background. Every number was chosen by eye."""

from typing import Final

import numpy as np

from pcavs.synth.backgrounds import random_background
from pcavs.synth.render import Colour, Light, Scene, Vector

_KEY_AZIMUTH_DEG, _KEY_HEIGHT_DEG, _KEY_POWER = (5, 75), (5, 55), (0.4, 1.0)
"""Ranges of the key light's angle to one side of the camera, its angle above the horizon, and its brightness."""

_FILL_AZIMUTH_DEG, _FILL_HEIGHT_DEG, _FILL_POWER = (20, 90), (-10, 35), (0.05, 0.4)
"""The same for the fill light, on the other side."""

_RIM_AZIMUTH_DEG, _RIM_HEIGHT_DEG, _RIM_POWER = (130, 230), (0, 50), (0.0, 0.6)
"""The same for the rim light, behind the head."""

_AMBIENT, _GROUND_SHARE = (0.2, 0.55), (0.3, 0.8)
"""Ranges of the ambient light from above, and of that from below relative to it."""

_TINT_SPREAD: Final = 0.1
"""Standard deviation of the logarithm of each channel of a light."""

_WARMTH_SPREAD: Final = 0.07
"""Standard deviation of the white balance: red gains by it and blue loses by it."""

_EXPOSURE_STOPS: Final = (-0.3, 0.6)
"""Range of the exposure in photographic stops (powers of two)."""

_DISTANCE_M: Final = (0.45, 2.2)
"""Range of the camera's distance; drawn evenly in logarithms."""

_EYE_SHARE: Final = (0.195, 0.245)
"""Range of the eye distance as a fraction of the picture's width."""


def random_scene(size_px: int, aim: Vector, random: np.random.Generator) -> Scene:
    """Draws a scene.

    Args:
        size_px: Side of the background.
        aim: Point at which the camera looks, in metres from the centre of the resting face.
        random: Draws everything else.
    """
    warmth = random.normal(0, _WARMTH_SPREAD)
    exposure = 2.0 ** random.uniform(*_EXPOSURE_STOPS)
    side = random.choice([-1.0, 1.0])
    key = _random_light(random, side * random.uniform(*_KEY_AZIMUTH_DEG), random.uniform(*_KEY_HEIGHT_DEG), _KEY_POWER)
    fill = _random_light(
        random, -side * random.uniform(*_FILL_AZIMUTH_DEG), random.uniform(*_FILL_HEIGHT_DEG), _FILL_POWER
    )
    rim = _random_light(random, random.uniform(*_RIM_AZIMUTH_DEG), random.uniform(*_RIM_HEIGHT_DEG), _RIM_POWER)
    ambient = random.uniform(*_AMBIENT)
    near_m, far_m = _DISTANCE_M
    return Scene(
        background=random_background(size_px, random),
        lights=(key, fill, rim),
        sky=_tinted(ambient, random),
        ground=_tinted(ambient * random.uniform(*_GROUND_SHARE), random),
        balance=(exposure * (1 + warmth), exposure, exposure * (1 - warmth)),
        distance_m=float(np.exp(random.uniform(np.log(near_m), np.log(far_m)))),
        eye_share=float(random.uniform(*_EYE_SHARE)),
        aim=aim,
    )


def _random_light(
    random: np.random.Generator, azimuth_deg: float, height_deg: float, power: tuple[float, float]
) -> Light:
    """Draws the colour of a light; azimuth 0 is the camera's side, positive is the picture's right."""
    azimuth, height = np.radians(azimuth_deg), np.radians(height_deg)
    direction = (np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height))
    x, y, z = (float(value) for value in direction)
    return Light(direction=(x, y, z), colour=_tinted(random.uniform(*power), random))


def _tinted(strength: float, random: np.random.Generator) -> Colour:
    red, green, blue = (float(value) for value in strength * np.exp(random.normal(0, _TINT_SPREAD, 3)))
    return red, green, blue
