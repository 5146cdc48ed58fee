"""Training on a machine with torch, lightning, numpy, opencv and safetensors, and what `scripts/gpu_bundle.py` adds."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("gpu_bundle", ROOT / "scripts" / "gpu_bundle.py")
assert _spec is not None
gpu_bundle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gpu_bundle)  # pyright: ignore[reportOptionalMemberAccess]
gather = gpu_bundle.gather

# Hides every package that such a machine lacks, whatever this environment has.
BARE = """
import sys
ALLOWED = {"torch", "numpy", "cv2", "safetensors", "pcavs"} | HERE | set(sys.stdlib_module_names)
ALLOWED |= {"typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock",
            "fsspec", "functorch", "torchgen", "yaml", "triton"}  # torch's own
ALLOWED |= {"lightning_fabric", "lightning_utilities", "packaging", "tqdm"}  # and Fabric's
class Only:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        known = name.partition(".")[0] in ALLOWED or name.startswith("_")
        return self.finder.find_spec(name, path, target) if known else None
sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
"""

TRAIN = """
import runpy, torch
torch.set_num_threads(1)
script = sys.argv.pop(1)
runpy.run_path(script, run_name="__main__")
"""
OPTIONS = {"size": "tiny", "steps": 2, "warmup_steps": 1, "decay_steps": 1, "clips": 2, "moments": 2, "device": "cpu"}


def bare(script: Path, names: set[str], **options: object) -> subprocess.CompletedProcess[str]:
    code = BARE.replace("HERE", repr(names)) + TRAIN
    settings = json.dumps(OPTIONS | options)
    return subprocess.run(
        [sys.executable, "-B", "-c", code, str(script), settings], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def bundle(drawn_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bare") / "bundle"
    gather(out, [drawn_packs])
    return out


@pytest.mark.parametrize("stage", ["sync", "generator"])
def test_the_bundle_trains_without_other_packages(stage: str, bundle: Path, tmp_path: Path):
    ran = bare(bundle / "train.py", {"jaxtyping", "wadler_lindig"}, stage=stage, run=str(tmp_path / stage))
    assert ran.returncode == 0, ran.stderr[-800:]
    assert ran.stdout.strip() == str(tmp_path / stage / "checkpoint-00000002")


def test_augmentation_works_there(bundle: Path, tmp_path: Path):
    """Appearance augmentation reads the canonical face, an asset of the package."""
    settings = {"stage": "generator", "augment_appearance": True, "augment_audio": True, "run": str(tmp_path / "run")}
    ran = bare(bundle / "train.py", {"jaxtyping", "wadler_lindig"}, **settings)
    assert ran.returncode == 0, ran.stderr[-800:]


def test_hidden_packages_are_not_found(bundle: Path):
    ran = bare(bundle / "train.py", {"wadler_lindig"})
    assert "No module named 'jaxtyping'" in ran.stderr


def test_the_bundle_is_complete(bundle: Path):
    assert sorted(place.name for place in bundle.iterdir()) == ["halve.py", "packs", "recipes", "site", "train.py"]
    for name in ("pcavs/train/run.py", "jaxtyping/__init__.py", "wadler_lindig/__init__.py"):
        assert (bundle / "site" / name).is_file()
    assert any(file.name.startswith("LICENSE") for file in (bundle / "site").rglob("jaxtyping*/**/*"))
    assert not list(bundle.rglob("__pycache__"))
