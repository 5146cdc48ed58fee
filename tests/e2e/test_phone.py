"""A photograph as a phone makes it: 12 megapixels, HEIC in tiles, Display P3, turned by Exif and container."""

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from helpers.colours import DISPLAY_P3, matrix_profile, to_srgb
from helpers.sounds import write_noise
from pcavs.cli import main
from pcavs.media.image import read_picture
from pcavs.media.video import read_frames

PORTRAIT = (3024, 4032)
"""Width and height as shown; the sensor is wider than high."""
SIDE = 1008
FAST = {"preset": "ultrafast"}


def test_a_phones_photograph_as_it_comes(root, tmp_path):
    shown = cv2.resize(read_picture(root / "examples/face.jpg"), PORTRAIT, interpolation=cv2.INTER_CUBIC)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9003] = 6, "Phone", "2026:11:30 12:00:00"
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(shown)))  # orientation 6 turns it clockwise again
    photo = tmp_path / "IMG_0001.HEIC"
    pillow_heif.register_heif_opener()
    profile = matrix_profile(DISPLAY_P3)
    stored.save(
        photo, format="HEIF", quality=90, tile_size=512, exif=exif.tobytes(), icc_profile=profile, enc_params=FAST
    )

    out = tmp_path / "talk.mp4"
    words = ["--identity", photo, "--audio", write_noise(tmp_path / "speech.wav", 0.2), "--out", out, "--full-frame"]
    words += ["--max-side", SIDE]  # only to save time
    with pytest.raises(SystemExit) as end:
        main(["animate", *map(str, words)])
    assert end.value.code == 0

    frame = next(read_frames(out))
    assert frame.shape == (SIDE, SIDE * 3 // 4, 3)
    small = (63, 84)
    film = cv2.resize(frame, small, interpolation=cv2.INTER_AREA).astype(float)
    true = to_srgb(cv2.resize(shown, (SIDE * 3 // 4, SIDE), interpolation=cv2.INTER_AREA).astype(float), DISPLAY_P3)
    wanted = cv2.resize(true, small, interpolation=cv2.INTER_AREA)
    away = np.ones(small[::-1], bool)
    away[8:70, 8:58] = False  # the head, whose mouth moves
    difference = np.abs(film - wanted)[away]
    assert difference.mean() < 2
    assert np.percentile(difference, 98) < 3
    assert np.abs(film - wanted).mean() < 3, "the head too, but for the mouth"
