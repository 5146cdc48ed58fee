"""Networks of one thread leave their caller free to run on any processor."""

import os
import threading

import numpy as np
import pytest

from pcavs.face.landmarker import FaceLandmarker
from pcavs.runtime.processor import processor_settings


def test_threads_that_are_not_counted_are_openvinos_affair():
    assert "ENABLE_CPU_PINNING" not in processor_settings(threads=0)
    assert processor_settings("bf16", threads=3)["INFERENCE_NUM_THREADS"] == "3"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells where a thread may run")
def test_a_network_does_not_bind_its_process_to_one_processor():
    free = os.sched_getaffinity(os.getpid())
    if len(free) < 2:
        pytest.skip("there is one processor")
    seen: set[frozenset[int]] = set()
    done = threading.Event()

    def progress() -> None:
        while not done.is_set():
            seen.add(frozenset(os.sched_getaffinity(os.getpid())))

    watcher = threading.Thread(target=progress)
    landmarker = FaceLandmarker(threads=1)  # to compile a network, OpenVINO binds its caller for a moment
    watcher.start()
    for _ in range(20):
        landmarker.detect(np.zeros((200, 200, 3), np.uint8))
    done.set()
    watcher.join()
    assert seen == {frozenset(free)}
