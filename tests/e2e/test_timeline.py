"""Pose sources in films: from presets, angles, files and timelines to the poses that the renderer takes."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.talkers import LoudMouth
from pcavs.animate.options import FilmOptions
from pcavs.animate.talker import Talker
from pcavs.errors import InputError
from pcavs.face.pose import rotation_from_angles
from pcavs.face.track import TrackPolicy
from pcavs.media.image import read_picture
from pcavs.media.video import read_frames
from pcavs.pose.calibration import plain_map
from pcavs.pose.codes import code_angles
from pcavs.pose.measure import measure_video
from pcavs.pose.track import save_track

OWN_DEG = (4.0, -3.0, 1.0)


class Posed(LoudMouth):
    """A talker whose motion encoder gives every picture the same pose."""

    def encode_identity(self, face):
        rotation = rotation_from_angles(np.array([OWN_DEG])).reshape(9)
        pose = np.concatenate([rotation, [0, 0, -0.1]]).astype(np.float32)
        return super().encode_identity(face)._replace(pose=pose)


@pytest.fixture(scope="module")
def posed(landmarker):
    return Talker(Posed(), landmarker, "posed", "0" * 64, plain_map())


@pytest.fixture
def speech(make_wav):
    return make_wav(1.2)


def poses(film):
    return film.controls.poses


def test_degrees_become_rows_of_the_head_track(posed, face, speech):
    film = posed.animate(face, speech, pose="yaw=12,roll=-5", size=32)
    assert len(poses(film)) == film.num_frames == 30
    assert np.allclose(poses(film), [12, 0, -5, 0, 0, 0])
    assert np.allclose(film.head_track, poses(film))


def test_degrees_become_codes_relative_to_the_photographs_own(posed, face, speech):
    film = posed.animate(face, speech, pose="yaw=12,roll=-5", size=32, turn="network")
    angles = np.stack([code_angles(code) for code in poses(film)])
    assert np.allclose(angles - OWN_DEG, np.array([12, 0, -5]) - film.identity.own_deg, atol=0.05)
    assert np.allclose(film.head_track[:, :3], [12, 0, -5], atol=0.01)


@pytest.mark.parametrize("pose", ["lively", "slow-turn", "still"])
@pytest.mark.parametrize("turn", ["depth", "network"])
def test_a_preset_starts_with_the_photographs_own_pose(posed, face, speech, pose, turn):
    film = posed.animate(face, speech, pose=pose, size=32, turn=turn)
    assert np.allclose(poses(film)[0], film.scene.motion.own, atol=1e-6)
    assert (np.ptp(poses(film), axis=0).max() > 0.01) == (pose != "still")


def test_relative_starts_with_the_photographs_own_pose_for_any_source(posed, face, drift, speech):
    film = posed.animate(face, speech, pose=drift, relative=True, size=32)
    assert np.allclose(poses(film)[0], film.scene.motion.own, atol=1e-5)
    turned = posed.animate(face, speech, pose="yaw=30,pitch=10", relative=True, size=32)
    assert np.allclose(poses(turned), turned.scene.motion.own, atol=1e-5)


def test_a_timeline_of_every_kind_plays_without_a_jump(posed, face, drift, speech, tmp_path):
    measured = measure_video(drift, (0.0, None), posed.face_reader(blank()).landmarker, TrackPolicy(), lambda *_: None)
    save_track(measured.track, measured.report.found, tmp_path / "drift.npz", overwrite=False)
    timeline = {
        "format": "pcavs-pose-1",
        "mode": "relative",
        "cross_fade_s": 0.1,
        "segments": [
            {"kind": "keys", "keys": [{"at_s": 0}, {"at_s": 0.3, "yaw": 8}], "duration_s": 0.3},
            {"kind": "video", "path": drift.name, "duration_s": 0.2},
            {"kind": "track", "path": "drift.npz", "start_s": 0.1, "duration_s": 0.2},
            {"kind": "preset", "name": "presenter", "duration_s": 0.2},
            {"kind": "mix", "parts": [{"kind": "preset", "name": "lively"}, {"kind": "keys", "keys": [{"at_s": 0}]}]},
        ],
    }
    file = tmp_path / "poses.json"
    file.write_text(json.dumps(timeline))
    film = posed.animate(face, speech, pose=file, size=32)
    assert len(poses(film)) == 30
    assert np.abs(np.diff(poses(film)[:, :3], axis=0)).max() < 3.5
    again = posed.animate(face, speech, pose=file, size=32)
    assert np.array_equal(poses(film), poses(again))
    assert [face.source for face in film.faces] == [drift.name]
    assert next(iter(film.frames)).shape == (32, 32, 3)


def test_the_networks_own_turns_have_no_surroundings_to_move_the_view_to(posed, face, speech):
    film = posed.animate(face, speech, pose="x=0.2", size=64, turn="network")
    assert film.scene.motion.view is None
    assert any("has no surroundings to show; it is moved less far" in note for note in film.notes)


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        ("livly", "there is no pose named livly; did you mean lively?"),
        ("zzz", "there is no pose named zzz; give still"),
        ("yaw=far", "cannot be read at 'yaw=far'; give a number"),
        ("yaw=3,yaw=4", "each once"),
        ("yaw=300", "yaw is 300.0; give a number from -90 to 90"),
        ("nose=3", "give yaw, pitch, roll, x, y, scale"),
    ],
)
def test_a_pose_that_cannot_be_read(posed, face, speech, pose, message):
    with pytest.raises(InputError, match="^[^\n]*$") as error:
        posed.animate(face, speech, pose=pose)
    assert message in str(error.value)


def test_relative_without_a_pose_is_refused(posed, face, speech):
    with pytest.raises(InputError, match="give --pose"):
        posed.animate(face, speech, relative=True)


def test_a_paper_talker_takes_no_degrees(loud_face, face, speech):
    with pytest.raises(InputError, match="which a paper talker cannot follow; give a video to follow"):
        loud_face.animate(face, speech, pose="lively")


def test_a_note_says_that_no_map_was_measured(landmarker, face, speech):
    film = Talker(Posed(), landmarker, "posed", "0" * 64).animate(face, speech, pose="yaw=5", turn="network")
    assert any("was not measured" in note for note in film.notes)


def test_the_order_of_references_does_not_matter(posed, face, drift, speech):
    films = [
        posed.animate(first, speech, references=[second], size=32) for first, second in ((face, drift), (drift, face))
    ]
    assert np.array_equal(films[0].identity.picture, films[1].identity.picture)
    assert np.array_equal(next(iter(films[0].frames)), next(iter(films[1].frames)))
    alone = posed.animate(face, speech, size=32)
    assert np.array_equal(films[0].identity.picture, alone.identity.picture), "the sharp photo, not the small film"


def test_among_equally_sharp_pictures_the_most_typical_is_animated(landmarker, face, speech, tmp_path):
    class Judging(Posed):
        """Tells people apart by their mean colour."""

        def encode_identity(self, face):
            colour = (face.reshape(3, -1) if face.shape[0] == 3 else face.reshape(-1, 3).T).mean(axis=1)
            return super().encode_identity(face)._replace(vector=(colour - 60).astype(np.float32))

    picture = read_picture(face)
    tinted = picture.astype(np.float32) * 1.04 * np.array([1.0, 0.8, 0.6])
    paths = {}
    for name, pixels in {
        "plain": picture,
        "like it": picture.astype(np.float32) * 0.98,
        "odd, and a little sharper": tinted + 1.3 * (tinted - cv2.GaussianBlur(tinted, (0, 0), 1)),
        "typical, but blurred": cv2.GaussianBlur(picture, (0, 0), 4),
    }.items():
        paths[name] = tmp_path / f"{name}.png"
        cv2.imwrite(str(paths[name]), np.clip(pixels, 0, 255).astype(np.uint8)[:, :, ::-1])
    talker = Talker(Judging(), landmarker, "judging", "0" * 64, plain_map())
    alone = {name: talker.animate(path, speech, size=128).identity.picture for name, path in paths.items()}
    first, *more = paths.values()
    chosen = talker.animate(first, speech, references=more, size=128).identity.picture
    names = [name for name, picture in alone.items() if np.array_equal(picture, chosen)]
    assert names[0] in ("plain", "like it"), names


def test_the_head_is_put_back_into_the_whole_picture(posed, face, speech, tmp_path):
    film = posed.animate(face, speech, full_frame=True)
    whole = read_picture(face)
    frame = next(iter(film.frames))
    assert frame.shape == (*(length - length % 2 for length in whole.shape[:2]), 3)
    assert film.size_px == frame.shape[1::-1]
    corner = (slice(0, 20), slice(0, 20))
    assert np.array_equal(frame[corner], whole[corner])
    assert film.save(tmp_path / "whole.mp4").exists()


def test_a_video_is_followed_by_its_landmarks(posed, landmarker, face, examples, speech):
    film = posed.animate(face, speech, pose=examples / "pose.mp4", size=32)
    seen = measure_video(examples / "pose.mp4", (0.0, 1.2), landmarker, TrackPolicy(), lambda *_: None).track
    assert np.ptp(seen[:, 0]) > 5, "a head that does not turn would test nothing"
    assert film.head_track[:, :3] == pytest.approx(seen[:, :3], abs=0.5)
    learned = posed.animate(face, speech, pose=examples / "pose.mp4", size=32, turn="network")
    assert learned.head_track is None, "with a network turn the codes of the motion encoder are used as they are"


def test_a_video_of_the_person_is_dubbed(posed, drift, make_wav):
    film = posed.animate(drift, make_wav(0.4), full_frame=True)
    assert film.num_frames == 10
    assert len(poses(film)) == 10, "without another pose the head stays where the video has it"
    assert poses(film)[0] == pytest.approx(film.scene.motion.own, abs=1e-6)
    first, *_, last = film.frames
    backgrounds = list(read_frames(drift, 0.0, 0.4))
    assert np.array_equal(first[:60], backgrounds[0][:60]), "only mouth and chin change"
    assert not np.array_equal(last[60:], backgrounds[9][60:])
    assert np.abs(first[:, :4].astype(int) - last[:, :4]).mean() > 0.5
    with pytest.raises(InputError, match="give a longer video of the person"):
        posed.animate(drift, make_wav(1.0), full_frame=True)


def blank():
    return dataclasses.replace(FilmOptions(identity=Path("a")), audio=None)
