"""Person segmentation: the asset is the published one, and the shipped example is segmented."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pcavs.face.person import PERSON_PX, PersonSegmenter
from pcavs.media.image import read_picture

EXAMPLE = Path(__file__).parents[3] / "tests" / "data" / "composite.jpg"


@pytest.fixture(scope="module")
def people():
    return PersonSegmenter()


def test_the_files_are_those_of_the_manifest():
    assets = resources.files("pcavs") / "assets" / "face"
    listed = json.loads((assets / "MANIFEST.json").read_text())["files"]
    assert {"selfie_segmentation.tflite", "selfie_segmentation_last.npz"} <= listed.keys()
    for name, entry in listed.items():
        assert hashlib.sha256((assets / name).read_bytes()).hexdigest() == entry["sha256"], name


def test_a_portrait_is_separated_from_its_background(people):
    mask = people.person_mask(read_picture(EXAMPLE))
    assert mask.shape == (PERSON_PX, PERSON_PX)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    middle = slice(PERSON_PX * 3 // 8, PERSON_PX * 5 // 8)
    assert mask[middle, middle].mean() > 0.99
    assert mask[:20, :20].max() < 0.1
    assert mask[:20, -20:].max() < 0.1


def test_the_mask_does_not_depend_on_the_pictures_size(people):
    picture = read_picture(EXAMPLE)
    small = np.ascontiguousarray(picture[::4, ::4])
    assert np.abs(people.person_mask(small) - people.person_mask(picture)).mean() < 0.03


def test_an_empty_picture_has_an_empty_mask(people):
    assert people.person_mask(np.full((200, 200, 3), 140, np.uint8)).mean() < 0.1
