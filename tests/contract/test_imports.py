"""The base install: animating imports no torch, no web framework and no training library."""

import subprocess
import sys

import pytest

# An import finder that refuses the packages that the base install lacks, for environments in which they are installed.
BASE_INSTALL = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"the base install has no {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
"""
EXTRAS = {"torch", "lightning_fabric", "webdataset", "tensorboard", "moderngl", "ray", "beartype", "pytest"}
NEED_TORCH = {f"pcavs.weights.{name}" for name in ("convert", "export", "parity")}
"""Modules of the base packages that read or write torch checkpoints or build networks, and so need torch."""
BASE_PACKAGES = [
    "pcavs",
    "pcavs.spec",
    "pcavs.types",
    "pcavs.media",
    "pcavs.face",
    "pcavs.weights",
    "pcavs.runtime.openvino",
    "pcavs.metrics",
    "pcavs.evaluate",
    "pcavs.animate",
    "pcavs.animate.compose",
    "pcavs.pose",
    "pcavs.head",
    "pcavs.mouth",
    "pcavs.doctor",
    "pcavs.cli",
]


def in_base_install(code: str) -> subprocess.CompletedProcess[str]:
    script = BASE_INSTALL.format(missing=EXTRAS) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", BASE_PACKAGES)
def test_base_package_imports_without_the_extras(package: str):
    walk = (
        f"import importlib, pkgutil\npackage = importlib.import_module({package!r})\n"
        "for part in pkgutil.iter_modules(getattr(package, '__path__', []) if package.__name__ != 'pcavs' else []):\n"
        f"    if f'{{package.__name__}}.{{part.name}}' not in {NEED_TORCH!r}:\n"
        "        importlib.import_module(f'{package.__name__}.{part.name}')\n"
    )
    ran = in_base_install(walk)
    assert ran.returncode == 0, ran.stderr[-600:]


def test_the_finder_refuses_torch():
    ran = in_base_install("import torch")
    assert "the base install has no torch" in ran.stderr
