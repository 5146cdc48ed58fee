"""One loaded talker makes several films at the same time, in threads or taking turns in one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pcavs.animate.load import load_talker
from pcavs.runtime.openvino import Network


@pytest.fixture(scope="module")
def talker(tiny_networks):
    return load_talker(tiny_networks, "cpu")


def test_films_made_in_several_threads_equal_those_made_alone(talker, face, make_wav):
    speech = make_wav(0.4)

    def make(pose):
        return np.stack(list(talker.animate(face, speech, pose, size=64).frames))

    poses = ["yaw=0", "yaw=10", "lively", "yaw=-10"]
    alone = [make(pose) for pose in poses]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(make, poses))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_films_may_take_turns(talker, face, drift, make_wav):
    speech = make_wav(0.4)
    films = [talker.animate(identity, speech, turn="network", size=64) for identity in (face, drift)]
    alone = [np.stack(list(film.frames)) for film in films]
    pairs = zip(*(film.frames for film in films), strict=True)
    for together, one in zip(zip(*pairs, strict=True), alone, strict=True):
        np.testing.assert_array_equal(np.stack(together), one)
    assert np.abs(alone[0].astype(int) - alone[1]).max() > 5


def test_ended_threads_leave_no_inference_requests(tiny_networks, face, make_wav):
    talker = load_talker(tiny_networks, "cpu")
    speech = make_wav(0.2)
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: list(talker.animate(face, speech, size=64, workers=1).frames)).result()
    networks = [each for each in vars(talker.runtime).values() if isinstance(each, Network)]
    assert networks
    assert all(len(network._free) <= 1 for network in networks)


@pytest.mark.parametrize("kind", ["crop", "photograph", "video", "dub"])
def test_frames_do_not_depend_on_the_workers(talker, face, drift, make_wav, kind):
    settings = {
        "crop": {"identity": face, "pose": "lively", "size": 64, "label": "AI"},
        "photograph": {"identity": face, "pose": "yaw=5", "full_frame": True, "max_side": 256},
        "video": {"identity": drift, "pose": "yaw=5", "full_frame": True, "max_side": 256},
        "dub": {"identity": drift, "full_frame": True, "max_side": 256},
    }[kind]
    speech = make_wav(0.4)
    films = [np.stack(list(talker.animate(audio=speech, workers=workers, **settings).frames)) for workers in (1, 2, 4)]
    np.testing.assert_array_equal(films[1], films[0])
    np.testing.assert_array_equal(films[2], films[0])


def test_a_film_that_is_not_read_to_its_end_leaves_no_threads(talker, drift, make_wav):
    before = threading.active_count()
    frames = talker.animate(drift, make_wav(0.4), full_frame=True, max_side=256, workers=2).frames
    next(frames)
    assert threading.active_count() > before
    frames.close()
    assert threading.active_count() == before
