"""The base install: what animates imports no torch, no web framework and no training library."""

import subprocess
import sys

import pytest

# A finder that refuses what the base install does not have, so the test holds in an environment that has it all.
BASE_INSTALL = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"the base install has no {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
"""
EXTRAS = {"torch", "lightning_fabric", "webdataset", "tensorboard", "moderngl", "ray", "beartype", "pytest"}
BASE_ROOMS = [
    "pcavs",
    "pcavs.spec",
    "pcavs.types",
    "pcavs.media",
    "pcavs.face",
    "pcavs.weights",
    "pcavs.backends.openvino",
    "pcavs.metrics",
    "pcavs.evaluate",
    "pcavs.animate",
    "pcavs.doctor",
    "pcavs.cli",
]


def in_base_install(code: str) -> subprocess.CompletedProcess[str]:
    script = BASE_INSTALL.format(missing=EXTRAS) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("room", BASE_ROOMS)
def test_base_room_imports_without_the_extras(room: str):
    walk = (
        f"import importlib, pkgutil\nroom = importlib.import_module({room!r})\n"
        "for part in pkgutil.iter_modules(getattr(room, '__path__', []) if room.__name__ != 'pcavs' else []):\n"
        "    importlib.import_module(f'{room.__name__}.{part.name}')\n"
    )
    ran = in_base_install(walk)
    assert ran.returncode == 0, ran.stderr[-600:]


def test_the_refusal_refuses():
    ran = in_base_install("import torch")
    assert "the base install has no torch" in ran.stderr
