"""Photographs animated by a driving clip: its lips move theirs, its mouth shows between them, the rest stays."""

import cv2
import numpy as np
import pytest

from pcavs.data.shard import AlignedClip, ShardWriter, Span, read_clip, read_ledger, read_shard
from pcavs.errors import DataError
from pcavs.face.align import crop_picture
from pcavs.face.pose import head_frame, rotation_from_angles
from pcavs.face.regions import INNER_LIPS, lips_shape, mouth_opening
from pcavs.face.track import track_picture
from pcavs.media.bitstream import decode_pictures, encode_pictures
from pcavs.prepare import run as prepare
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.spoken_photos import (
    DrivingMouth,
    animate_mouth,
    can_drive,
    is_mouth_shut,
    mouth_motion,
    random_head_motion,
)

FRAMES = 24
UPPER, LOWER = INNER_LIPS[1:10], INNER_LIPS[11:]


@pytest.fixture(scope="module")
def crop(portrait):
    picture, _, transform = portrait
    return crop_picture(picture, transform, 256)


@pytest.fixture(scope="module")
def shut(portrait):
    """The portrait's landmarks with the inner lips closed."""
    mesh = portrait[1].copy()
    for upper, lower in zip(UPPER, reversed(LOWER), strict=True):
        mesh[[upper, lower]] = mesh[[upper, lower]].mean(axis=0)
    return mesh


@pytest.fixture(scope="module")
def driver(shut) -> DrivingMouth:
    """A driver with a dark mouth whose lower lip and chin go down and up three times."""
    gap = 14 * np.sin(np.linspace(0, 3 * np.pi, FRAMES)) ** 2
    meshes = np.repeat(shut[None], FRAMES, axis=0)
    meshes[:, [*LOWER, 152, 148, 377], 1] += gap[:, None]
    picture = np.full((256, 256, 3), 200, np.uint8)
    picture[round(float(shut[0, 1])) - 8 :] = (60, 40, 40)
    return DrivingMouth([picture] * FRAMES, meshes.astype(np.float32))


@pytest.fixture(scope="module")
def spoken(crop, shut, driver):
    return list(animate_mouth(crop, shut, driver, np.random.default_rng(1)))


def test_the_mouth_opens_as_far_as_the_drivers_mouth(spoken, driver):
    made = mouth_opening(np.stack([mesh for _, mesh in spoken]))
    np.testing.assert_allclose(made, mouth_opening(driver.meshes), atol=0.01)
    assert made.max() > 0.1


def test_the_tracker_finds_the_landmarks_in_the_pictures(spoken, landmarker):
    seen = np.stack([track_picture(face, landmarker, "made").meshes[0] for face, _ in spoken[::3]])
    told = np.stack([mesh for _, mesh in spoken[::3]])
    openings = mouth_opening(seen), mouth_opening(told)
    assert np.corrcoef(*openings)[0, 1] > 0.9
    assert np.linalg.norm((seen - told)[:, [1, 33, 263, 152], :2], axis=2).mean() < 4.0


def test_only_the_opening_shows_the_driver(spoken, crop, shut, driver):
    lighter = [np.where(face == 40, 160, face).astype(np.uint8) for face in driver.pictures]
    others = list(animate_mouth(crop, shut, driver._replace(pictures=lighter), np.random.default_rng(1)))
    changed = [np.abs(a.astype(int) - b).max(axis=2) > 8 for (a, _), (b, _) in zip(spoken, others, strict=True)]
    assert not changed[0].any()
    widest = int(np.argmax(mouth_opening(driver.meshes)))
    lips = np.zeros((256, 256), np.uint8)
    cv2.fillPoly(lips, [np.round(spoken[widest][1][list(INNER_LIPS), :2]).astype(np.int32)], 1)
    inside = cv2.erode(lips, np.ones((3, 3))) > 0
    assert changed[widest][inside].mean() > 0.95
    assert not changed[widest][cv2.dilate(lips, np.ones((5, 5))) == 0].any()


def test_warm_skin_does_not_make_teeth_blue(crop, shut, driver):
    warm = [np.where(face == 200, np.array([230, 120, 60]), 180).astype(np.uint8) for face in driver.pictures]
    made = list(animate_mouth(crop, shut, driver._replace(pictures=warm), np.random.default_rng(1)))
    widest = int(np.argmax(mouth_opening(driver.meshes)))
    face, mesh = made[widest]
    x, y = mesh[[13, 14], :2].mean(axis=0).round().astype(int)
    red, green, blue = face[y, x].astype(int)
    assert red >= green - 2
    assert green >= blue - 2


def test_the_mouth_moves_nothing_above_the_tip_of_the_nose(driver):
    moved = np.abs(mouth_motion(driver.meshes)).max(axis=(0, 2))
    assert moved[[10, 33, 263, 159, 168, 4]].max() == 0
    assert moved[14] > 0.5


def test_the_drivers_head_pose_does_not_matter(driver):
    turned = driver.meshes @ rotation_from_angles(np.array([[20.0, 5.0, -8.0]]))[0].T.astype(np.float32)
    np.testing.assert_allclose(mouth_motion(turned), mouth_motion(driver.meshes), atol=0.03)


def test_requirements_of_driving_clips_and_photographs(driver, shut):
    assert can_drive(driver.meshes)
    assert is_mouth_shut(shut)
    widest = driver.meshes[mouth_opening(driver.meshes).argmax()]
    assert not is_mouth_shut(widest)
    assert not can_drive(np.repeat(shut[None], FRAMES, axis=0)), "it never opens"
    assert not can_drive(np.repeat(widest[None], FRAMES, axis=0)), "it never shuts"
    away = driver.meshes @ rotation_from_angles(np.array([[45.0, 0.0, 0.0]]))[0].T.astype(np.float32)
    assert not can_drive(away)


def test_the_head_moves_smoothly(shut):
    moves = list(random_head_motion(200, shut, 256, np.random.default_rng(3)))
    places = np.stack([move(shut.astype(np.float64)) for move in moves])
    steps = np.linalg.norm(np.diff(places[:, 4, :2], axis=0), axis=1)
    assert steps.max() < 4.0, "pixels a frame, of 256"
    assert np.ptp(places[:, 4, 0]) > 2.0


def write_driving_clip(folder, driver: DrivingMouth, split: str) -> None:
    """Writes a folder with one clip with sound, as `pcavs prepare` does."""
    folder.mkdir()
    facts = {"speaker": "ann", "source": "test", "split": split, "licence": "CC0", "truth": False}
    sound = np.sin(np.arange(FRAMES * 640) * 0.1).astype(np.float32) * 0.3
    meshes, film = driver.meshes, encode_pictures(driver.pictures)
    pose = np.zeros((FRAMES, 12), np.float32)
    clip = AlignedClip("ann-1", facts, film, meshes, pose, lips_shape(meshes), np.eye(2, 3), sound, 256)
    with ShardWriter(folder / "shard-00000-0.tar") as shard:
        span = shard.write(clip)
    row = f'{{"kept": true, "heard": true, "split": "{split}", "shard": "shard-00000-0.tar", "frames": {FRAMES}, '
    row += f'"offset": {span.offset}, "bytes": {span.size}}}'
    (folder / "shard-00000.jsonl").write_text(row + "\n")


@pytest.fixture
def pictures(crop, tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    wide = cv2.copyMakeBorder(crop, 30, 30, 30, 30, cv2.BORDER_REPLICATE)
    cv2.imwrite(str(place / "look.png"), cv2.cvtColor(wide, cv2.COLOR_RGB2BGR))
    return place


def test_prepare_animates_photographs(pictures, driver, tmp_path, monkeypatch):
    monkeypatch.setattr("pcavs.prepare.clip.is_mouth_shut", lambda mesh: True)
    write_driving_clip(tmp_path / "train", driver, "train")
    write_driving_clip(tmp_path / "val", driver, "val")
    out = [tmp_path / name for name in ("first", "again")]
    for folder in out:
        given = (tmp_path / "train", tmp_path / "val")
        prepare.run(PrepareOptions(source=pictures, out=folder, turned=2, drivers=given, workers=1))
    still, speaks = read_shard(out[0] / "shard-00000-0.tar")
    assert still.waveform is None
    assert speaks.key == f"{still.key}@1"
    assert speaks.facts["spoken_by"] == "ann-1"
    assert speaks.facts["spoken_licence"] == "CC0"
    assert len(speaks.film.ends) == FRAMES == len(speaks.mesh)
    assert speaks.waveform is not None
    assert len(speaks.waveform) == FRAMES * 640
    assert len(decode_pictures(speaks.film)) == FRAMES
    assert np.ptp(head_frame(speaks.mesh)[:, 14, 1]) > 0.5
    (row,) = [row for row in read_ledger(out[0]) if row["key"] == speaks.key]
    with (out[0] / row["shard"]).open("rb") as file:
        assert read_clip(file, Span(row["offset"], row["bytes"])).key == speaks.key
    assert (out[0] / "shard-00000-0.tar").read_bytes() == (out[1] / "shard-00000-0.tar").read_bytes()


def test_driving_clips_without_sound_are_refused(pictures, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no clips with sound"):
        prepare.run(PrepareOptions(source=pictures, out=tmp_path / "out", drivers=(tmp_path / "none",), workers=1))
