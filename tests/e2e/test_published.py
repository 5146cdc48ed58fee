"""`--compat published`: the published code's timing and alignment, defects included, and the default beside it."""

import json
import math

import av
import cv2
import numpy as np
import pytest

from helpers.clicks import HALF_FRAME_S, measured_lead_s
from helpers.sounds import write_noise
from pcavs import cli
from pcavs.errors import InputError
from pcavs.face.align import alignment_points
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.mel import mel_spectrogram, normalise_loudness
from pcavs.media.video import read_frames
from pcavs.spec import SAMPLE_RATE_HZ

SAMPLES = (3_200, 3_201, 15_999, 16_000, 16_161, 53_280)


def published_count(samples):
    """The spec's own words."""
    return (math.ceil(samples / 160) + 7) // 4 - 4


def shown(path):
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.pts is not None]
        tags = dict(container.metadata)
    return len(packets), tags["comment"]


@pytest.mark.parametrize("samples", SAMPLES)
def test_frames_in_both_modes(loud_face, face, tmp_path, samples):
    audio = write_noise(tmp_path / "speech.wav", samples / SAMPLE_RATE_HZ)
    default = loud_face.animate(face, audio)
    compat = loud_face.animate(face, audio, compat="published")
    assert (default.num_frames, default.offset) == (math.floor(25 * samples / 16_000 + 0.5), 0)
    assert (compat.num_frames, compat.offset) == (published_count(samples), 2)
    for film, name in ((default, "default.mp4"), (compat, "compat.mp4")):
        frames, comment = shown(film.save(tmp_path / name))
        assert frames == film.num_frames
        assert ("published" in comment) == (film is compat)


def test_the_published_picture_is_80_ms_early(loud_face, face, clicks, tmp_path):
    film = loud_face.animate(face, clicks, compat="published").save(tmp_path / "film.mp4")
    assert measured_lead_s(film) == pytest.approx(-0.08, abs=HALF_FRAME_S)


def test_windows_are_those_of_the_published_mel(loud_face, face, shared, tmp_path):
    oracle_file = shared / "oracle" / "forward_seed0.npz"
    if not oracle_file.exists():
        pytest.skip("no stored outputs of the published code here")
    oracle = np.load(oracle_file)
    timing = loud_face.animate(face, write_noise(tmp_path / "any.wav", 0.3), compat="published").scene.timing
    spec = loud_face.runtime.spec.mel
    count = timing.count_frames(len(oracle["wav"]), spec)
    mel = timing.mel(oracle["wav"], count, spec)
    np.testing.assert_allclose(mel, oracle["mel"].T, atol=1e-6)
    assert count == len(oracle["mel"]) // 4 - 4
    for row, target in enumerate(oracle["frame_index"]):
        first = 4 * (target - 2)
        np.testing.assert_allclose(mel[:, first : first + 20], oracle["in_spec"][row, 0], atol=1e-6)


def test_the_film_hears_the_mel_from_its_first_bin(loud_face, face, make_wav):
    """One bin of shift would be 10 ms that no click test sees."""
    heard = []
    listen = loud_face.runtime.encode_speech
    loud_face.runtime.encode_speech = lambda windows: heard.append(windows) or listen(windows)
    audio = make_wav(1.0)
    list(loud_face.animate(face, audio, compat="published").frames)
    spec = loud_face.runtime.spec.mel
    mel = mel_spectrogram(normalise_loudness(read_waveform(audio), spec), spec)
    wanted = [mel[:, 4 * j : 4 * j + 20] for j in range(published_count(16_000))]
    np.testing.assert_allclose(np.concatenate(heard)[:, 0], wanted, atol=1e-6)
    assert mel.shape[1] - 4 < 4 * len(wanted) + 16 <= mel.shape[1], "one more window would not fit"


def test_the_pose_source_is_walked_from_pose_2_with_doubled_ends(loud_face, face, drift, make_wav):
    film = loud_face.animate(face, make_wav(1.3), pose=drift, compat="published")
    list(film.frames)
    walked = [int(pose[0]) for pose in loud_face.runtime.posed]
    there, back = list(range(11)), list(range(10, -1, -1))
    assert walked == (there + back + there + back)[2 : 2 + film.num_frames]
    assert len(film.controls.poses) == 11


def test_poses_are_taken_as_they_are(loud_face, face, drift, make_wav):
    film = loud_face.animate(face, make_wav(0.4), pose=drift, compat="published")
    assert np.array_equal(film.controls.poses[:, 0], np.arange(len(film.controls.poses)))
    assert len(film.controls.poses) == film.num_frames + 2


def test_without_a_pose_source_the_picture_is_one(loud_face, face, make_wav):
    film = loud_face.animate(face, make_wav(0.4), compat="published")
    list(film.frames)
    poses = np.array(loud_face.runtime.posed)
    assert poses.shape == (film.num_frames, 12)
    assert np.array_equal(poses, np.broadcast_to(film.identity.codes.pose, poses.shape))


def published_faces(frames, points, side_px):
    """The published steps, one frame at a time, with OpenCV alone."""
    wanted = np.array([[87, 59], [137, 59], [112, 120]], np.float64)
    known = points.mean(axis=0)
    rows = [[x, -y, 1, 0] for x, y in known] + [[y, x, 0, 1] for x, y in known]
    a, b, x, y = np.linalg.lstsq(np.array(rows), wanted.T.ravel(), rcond=None)[0]
    kept, faces = None, []
    for frame, (_, _, mouth) in zip(frames, points, strict=False):
        matrix = np.array([[a, -b, x], [b, a, y]])
        shift = wanted[2] - (matrix[:, :2] @ mouth + matrix[:, 2])
        kept = shift if kept is None else 0.2 * kept + 0.8 * shift
        matrix[:, 2] += kept
        aligned = cv2.warpAffine(frame, matrix, (224, 224), borderValue=0)
        faces.append(cv2.resize(aligned[:192, 16:208], (side_px, side_px)))
    return faces


def test_networks_see_the_published_crops(loud_face, landmarker, face, drift, make_wav):
    """The place comes from all of the clip, also where the speech needs only its beginning."""
    loud_face.animate(face, make_wav(0.28), pose=drift, compat="published")
    side_px = loud_face.runtime.spec.sizes.frame_px
    raw = TrackPolicy(smoothed=False)
    for frames, seen in (
        ([read_picture(face)], [loud_face.runtime.portrait]),
        (list(read_frames(drift)), loud_face.runtime.seen),
    ):
        track = track_face(frames, landmarker, "frames", raw)
        wanted = published_faces(frames, alignment_points(track.meshes).astype(np.float64), side_px)
        for one, other in zip(seen, wanted, strict=False):
            assert np.abs(one.astype(int) - other).max() <= 1
    assert 0 < len(loud_face.runtime.seen) < len(list(read_frames(drift)))


def test_a_flow_talker_has_no_published_way(loud_mouth, face, make_wav):
    with pytest.raises(InputError, match="compat published is for paper talkers, and these weights hold a flow talker"):
        loud_mouth.animate(face, make_wav(0.3), compat="published")


def test_the_command_refuses_it_for_a_flow_talker(tiny_networks, face, make_wav, tmp_path, capsys):
    out = tmp_path / "film.mp4"
    words = ["animate", "--identity", face, "--audio", make_wav(0.3), "--out", out, "--weights", tiny_networks]
    with pytest.raises(SystemExit) as end:
        cli.main([*map(str, words), "--compat", "published"])
    assert end.value.code == 1
    said = capsys.readouterr()
    assert "is for paper talkers" in said.err
    assert len(said.err.splitlines()) == 1
    assert not list(tmp_path.glob("film.mp4*"))


def test_the_summary_tells_the_offset(loud_face, face, make_wav, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pcavs.animate.run.load_talker", lambda *_: loud_face)
    words = ["animate", "--identity", face, "--audio", make_wav(1.0), "--json", "--overwrite"]
    offsets = {}
    for mode in ((), ("--compat", "published")):
        with pytest.raises(SystemExit) as end:
            cli.main([*map(str, words), "--out", str(tmp_path / "film.mp4"), *mode])
        assert end.value.code == 0
        summary = json.loads(capsys.readouterr().out)
        offsets[mode[1:]] = summary["offset"], summary["frames"]
    assert offsets == {(): (0, 25), ("published",): (2, published_count(16_000))}
