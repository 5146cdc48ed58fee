"""The base install: everything but training imports without torch and the other extras."""

import subprocess
import sys

from pcavs.errors import install_hint

# An import finder that refuses what the base install does not have, although this environment has it.
BASE_INSTALL = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"the base install has no {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
"""
EXTRAS = {"torch", "lightning_fabric", "webdataset", "tensorboard", "moderngl", "ray", "beartype", "pytest"}
EXTRAS |= {"fastapi", "uvicorn", "starlette", "pydantic", "sqlalchemy", "psycopg", "prometheus_client"}
NEED_EXTRAS = {
    "pcavs.__main__",
    "pcavs.data",
    "pcavs.models",
    "pcavs.runtime.torch",
    "pcavs.serve",
    "pcavs.synth",
    "pcavs.train",
    "pcavs.weights.convert",
    "pcavs.weights.export",
    "pcavs.weights.parity",
}
"""Packages and modules that train or build networks, and the one that runs the command line when it is imported."""

IMPORT_ALL = """
import importlib, pkgutil
def import_below(package):
    for part in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if part.name not in {skipped}:
            module = importlib.import_module(part.name)
            print(part.name)
            if part.ispkg:
                import_below(module)
import_below(importlib.import_module("pcavs"))
"""


def in_base_install(code: str) -> subprocess.CompletedProcess[str]:
    script = BASE_INSTALL.format(missing=EXTRAS) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_the_base_packages_import_without_the_extras():
    ran = in_base_install(IMPORT_ALL.format(skipped=NEED_EXTRAS))
    assert ran.returncode == 0, ran.stderr[-600:]
    assert {"pcavs.animate.talker", "pcavs.cli", "pcavs.head.warp", "pcavs.media.video"} <= set(ran.stdout.split())


def test_the_service_without_its_extra_has_help_and_says_what_to_install():
    help_text = in_base_install("from pcavs.cli import main; main(['serve', '--help'])")
    assert "--webhook-hosts" in help_text.stdout
    ran = in_base_install("from pcavs.cli import main; main(['serve'])")
    assert ran.stderr.strip().endswith(f"is not installed; run {install_hint('serve')}")


def test_extras_are_refused():
    """Otherwise the test above would show nothing."""
    ran = in_base_install("import torch")
    assert "the base install has no torch" in ran.stderr
