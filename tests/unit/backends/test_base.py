"""A backend that was never exported and one that was are asked in the same way; see tests/numeric for the numbers."""

import pytest

from pcavs.backends.openvino import OpenVinoBackend
from pcavs.errors import WeightsError


def test_networks_that_openvino_cannot_read(tiny_spec, tmp_path):
    for name in ("identity", "motion", "speech", "generator"):
        (tmp_path / f"{name}.xml").write_text("<net>torn")
        (tmp_path / f"{name}.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"identity\.xml cannot be loaded by OpenVINO \(.*\); export"):
        OpenVinoBackend(tmp_path, tiny_spec)
