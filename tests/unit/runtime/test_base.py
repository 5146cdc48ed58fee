"""A runtime that was never exported and one that was are asked in the same way; see tests/numeric for the numbers."""

import subprocess
import sys

import pytest

from pcavs.errors import WeightsError
from pcavs.runtime.openvino import OpenVinoRuntime


def test_networks_that_openvino_cannot_read(tiny_spec, tmp_path):
    for name in ("identity", "motion", "speech", "generator"):
        (tmp_path / f"{name}.xml").write_text("<net>torn")
        (tmp_path / f"{name}.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"identity\.xml cannot be loaded by OpenVINO \(.*\); export"):
        OpenVinoRuntime(tmp_path, tiny_spec)


def test_openvino_reports_to_nobody():
    """Its telemetry package would send every import to a measuring service; with pcavs it is never loaded."""
    code = (
        "import sys, pcavs, openvino\n"
        "loaded = [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
        "assert not loaded, loaded\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "assert telemetry_utils.tm.__name__.endswith('telemetry_stub')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
