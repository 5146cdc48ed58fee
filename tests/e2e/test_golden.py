"""Films of fixed inputs are what they were: a refactoring must not change a pixel.

The whole set needs inputs that the repository does not hold, and the arithmetic that it was recorded with; three frames
of the shipped example are compared anywhere, by PSNR, since processors differ in the last bits.
"""

import json

import cv2
import numpy as np
import pytest

import pcavs
from helpers.golden import HASHES, SMALL, SMALL_FRAMES, film, frame_digest, golden_films, machine
from pcavs.metrics.image import psnr

LEAST_PSNR_DB = 40.0


def test_example_film_is_the_stored_one(examples):
    make = film(pcavs.load(), examples / "face.jpg", examples / "speech.wav", pose=examples / "pose.mp4")
    frames = list(make().frames)
    stored = cv2.cvtColor(cv2.imread(str(SMALL)), cv2.COLOR_BGR2RGB)
    for number, expected in zip(SMALL_FRAMES, np.split(stored, len(SMALL_FRAMES), axis=1), strict=True):
        assert psnr(frames[number], expected) > LEAST_PSNR_DB


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_films_are_equal_to_the_bit(shared, examples, tmp_path):
    recorded = json.loads(HASHES.read_text())
    if recorded["machine"] != machine():
        pytest.skip(f"the hashes were recorded with {recorded['machine']}, and this is {machine()}")
    made = {name: frame_digest(make()) for name, make in golden_films(shared, examples, tmp_path)}
    assert made == recorded["films"]
