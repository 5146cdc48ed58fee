"""Training from the folder of `scripts/gpu_bundle.py` needs only torch, lightning, numpy, opencv and safetensors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_bundle import gather

# Import finders that find nothing but the standard library and the packages of such a machine, whatever is installed
# in this environment. HERE stands for the packages that the folder adds.
BARE = """
import sys
ALLOWED = {"torch", "numpy", "cv2", "safetensors", "pcavs"} | HERE | set(sys.stdlib_module_names)
ALLOWED |= {"typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock",
            "fsspec", "functorch", "torchgen", "yaml", "triton"}  # torch's own
ALLOWED |= {"lightning_fabric", "lightning_utilities", "packaging", "tqdm"}  # and Fabric's
class Allowed:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        allowed = name.partition(".")[0] in ALLOWED or name.startswith("_")
        return self.finder.find_spec(name, path, target) if allowed else None
sys.meta_path[:] = [Allowed(finder) for finder in sys.meta_path]
"""

TRAIN = """
import runpy, torch
torch.set_num_threads(1)
script, *runs = sys.argv[1:]
for settings in runs:
    sys.argv[1:] = [settings]
    runpy.run_path(script, run_name="__main__")
"""
OPTIONS = {"size": "tiny", "steps": 2, "warmup_steps": 1, "decay_steps": 1, "clips": 2, "moments": 2, "device": "cpu"}


def bare(script: Path, added: set[str], *runs: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Starts one process that trains once for each of `runs`."""
    code = BARE.replace("HERE", repr(added)) + TRAIN
    command = [sys.executable, "-B", "-c", code, str(script), *(json.dumps(OPTIONS | options) for options in runs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(drawn_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bare") / "bundle"
    gather(out, [drawn_packs])
    return out


def test_the_folder_trains_with_the_packages_of_a_bare_machine(bundle: Path, tmp_path: Path):
    """With augmentation too: which landmarks mirror each other is read from a file of the package."""
    augmented = {"augment_appearance": True, "augment_audio": True}
    sync = {"stage": "sync", "run": str(tmp_path / "sync")}
    generator = {"stage": "generator", "run": str(tmp_path / "generator"), **augmented}
    ran = bare(bundle / "train.py", {"jaxtyping", "wadler_lindig"}, sync, generator)
    assert ran.returncode == 0, ran.stderr[-800:]
    assert ran.stdout.split() == [f"{tmp_path / stage / 'checkpoint-00000002'}" for stage in ("sync", "generator")]


def test_other_packages_are_not_found(bundle: Path):
    """Otherwise the test above would show nothing."""
    ran = bare(bundle / "train.py", {"wadler_lindig"}, {})
    assert "No module named 'jaxtyping'" in ran.stderr


def test_the_folder_is_complete(bundle: Path):
    assert sorted(place.name for place in bundle.iterdir()) == ["halve.py", "packs", "recipes", "site", "train.py"]
    for name in ("pcavs/train/run.py", "jaxtyping/__init__.py", "wadler_lindig/__init__.py"):
        assert (bundle / "site" / name).is_file()
    assert any(file.name.startswith("LICENSE") for file in (bundle / "site").rglob("jaxtyping*/**/*"))
    assert not list(bundle.rglob("__pycache__"))
