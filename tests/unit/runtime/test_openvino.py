"""The OpenVINO runtime: errors, telemetry and thread pinning. tests/numeric compares its numbers with torch's."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from pcavs.errors import WeightsError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.runtime.openvino import OpenVinoRuntime, cpu_settings


def test_networks_that_openvino_cannot_read(tiny_spec, tmp_path):
    for name in ("identity", "motion", "speech", "generator"):
        (tmp_path / f"{name}.xml").write_text("<net>torn")
        (tmp_path / f"{name}.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"identity\.xml cannot be loaded by OpenVINO 20.* \(.*\); install a newer"):
        OpenVinoRuntime(tmp_path, tiny_spec)


def test_openvino_reports_no_imports():
    """Its telemetry package would report every import to a service; pcavs neither loads nor hides it."""
    code = (
        "import sys, pcavs\n"
        "before = set(sys.modules)\n"
        "assert not any('telemetry' in name for name in before)\n"
        "import pcavs.runtime.openvino\n"
        "loaded = [name for name in sys.modules if name.startswith('openvino_telemetry')]\n"
        "assert not loaded, loaded\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "assert telemetry_utils.tm.__name__.endswith('telemetry_stub')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_pinning_is_off_where_threads_are_counted():
    assert "ENABLE_CPU_PINNING" not in cpu_settings(threads=0)
    settings = cpu_settings("bf16", threads=3)
    assert settings["INFERENCE_NUM_THREADS"] == "3"
    assert settings["ENABLE_CPU_PINNING"] == "NO"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux reports the affinity of a process")
def test_a_network_of_one_thread_does_not_pin_its_process():
    free = os.sched_getaffinity(os.getpid())
    if len(free) < 2:
        pytest.skip("there is one processor")
    affinities: set[frozenset[int]] = set()
    done = threading.Event()

    def poll_affinity() -> None:
        while not done.is_set():
            affinities.add(frozenset(os.sched_getaffinity(os.getpid())))

    poller = threading.Thread(target=poll_affinity)
    landmarker = FaceLandmarker(threads=1)  # OpenVINO pins its caller for a moment while it compiles a network
    poller.start()
    for _ in range(20):
        landmarker.detect(np.zeros((200, 200, 3), np.uint8))
    done.set()
    poller.join()
    assert affinities == {frozenset(free)}
