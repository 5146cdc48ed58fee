"""Random light, lens and background for one clip; pure numpy and OpenCV."""

import cv2
import numpy as np
from jaxtyping import Float

from pcavs.synth.render import Colour, Light, Scene
from pcavs.synth.rooms import room_photograph
from pcavs.types import Picture


def random_scene(size_px: int, aim: Colour, random: np.random.Generator) -> Scene:
    """Draws lights, exposure, white balance, focal length, framing and background; the camera looks at `aim`."""
    warmth = random.normal(0, 0.07)
    exposure = 2.0 ** random.uniform(-0.3, 0.6)
    key_side = random.choice([-1.0, 1.0])
    key = _light(
        random, azimuth_deg=key_side * random.uniform(5, 75), height_deg=random.uniform(5, 55), power=(0.4, 1.0)
    )
    fill = _light(
        random, azimuth_deg=-key_side * random.uniform(20, 90), height_deg=random.uniform(-10, 35), power=(0.05, 0.4)
    )
    rim = _light(random, azimuth_deg=random.uniform(130, 230), height_deg=random.uniform(0, 50), power=(0.0, 0.6))
    ambient = random.uniform(0.2, 0.55)
    return Scene(
        background=random_background(size_px, random),
        lights=(key, fill, rim),
        sky=_tinted(ambient, random),
        ground=_tinted(ambient * random.uniform(0.3, 0.8), random),
        balance=(exposure * (1 + warmth), exposure, exposure * (1 - warmth)),
        distance_m=float(np.exp(random.uniform(np.log(0.45), np.log(2.2)))),
        eye_share=float(random.uniform(0.195, 0.245)),
        aim=aim,
    )


def random_background(size_px: int, random: np.random.Generator) -> Picture:
    """Draws a plain colour, a gradient, clouds of colour, or a room (`pcavs.synth.rooms`)."""
    kind = random.choice(["plain", "gradient", "clouds", "room"], p=[0.15, 0.15, 0.2, 0.5])
    if kind == "room":
        return room_photograph(size_px, random)
    base = _random_colour(random)
    canvas = np.ones((size_px, size_px, 3)) * base
    if kind == "gradient":
        angle = random.uniform(0, 2 * np.pi)
        y, x = np.mgrid[0:size_px, 0:size_px] / size_px
        slope = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)[..., None]
        canvas = canvas * (1 - slope) + _random_colour(random) * slope
    elif kind == "clouds":
        for octave in range(2, 7):
            coarse = random.normal(0, 45 / octave, (2**octave, 2**octave, 1)) + random.normal(0, 9, (1, 1, 3))
            canvas = canvas + cv2.resize(coarse.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, random.uniform(0, 2.5), canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


def _light(random: np.random.Generator, *, azimuth_deg: float, height_deg: float, power: tuple[float, float]) -> Light:
    azimuth, height = np.radians(azimuth_deg), np.radians(height_deg)
    direction = (np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height))
    x, y, z = (float(value) for value in direction)
    return Light(direction=(x, y, z), colour=_tinted(random.uniform(*power), random))


def _tinted(strength: float, random: np.random.Generator) -> Colour:
    red, green, blue = (float(value) for value in strength * np.exp(random.normal(0, 0.1, 3)))
    return red, green, blue


def _random_colour(random: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Mostly muted, as walls, wood and cloth are."""
    grey = random.uniform(20, 235)
    return np.clip(grey + random.normal(0, 1, 3) * random.exponential(14), 0, 255)
