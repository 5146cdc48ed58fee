"""runs/gpu.sh on a processor: from a bundle to parts of weights, and on from those."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pcavs.weights.bundle import load_bundle

ROOT = Path(__file__).resolve().parents[2]
TINY = '"device": "cpu", "steps": 3, "warmup_steps": 1, "decay_steps": 1, "colour_from_step": 0, "log_every": 1,'


@pytest.fixture(scope="module")
def bundle(drawn_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("gpu_bundle", ROOT / "scripts" / "gpu_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    out = tmp_path_factory.mktemp("gpu") / "bundle"
    tool.gather(out, [drawn_packs])
    return out


def rehearse(bundle: Path, out: Path, *parts: Path, extra: str = TINY) -> None:
    words = [str(word) for word in (bundle, bundle / "recipes" / "tiny.toml", 5, out, *parts)]
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "EXTRA": extra}
    ran = subprocess.run(
        ["bash", str(ROOT / "runs" / "gpu.sh"), *words], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-1500:]


@pytest.mark.timeout(600)
def test_weights_are_split_and_training_continues_from_the_parts(bundle: Path, tmp_path: Path):
    rehearse(bundle, tmp_path / "first")
    parts = sorted((tmp_path / "first").glob("talker.safetensors.*"))
    assert parts
    assert max(part.stat().st_size for part in parts) < 15 * 2**20
    assert sorted(file.name for file in (tmp_path / "first").iterdir() if file not in parts) == [
        *("journal.jsonl", "options.toml", "preview.png")
    ]
    joined = tmp_path / "talker.safetensors"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert load_bundle(joined).provenance["steps"] == "3"
    assert {value.dtype for value in load_file(joined).values()} == {np.dtype(np.float16)}

    rehearse(bundle, tmp_path / "second", *parts, extra=TINY + ' "lr": 0.0,')
    again = b"".join(part.read_bytes() for part in sorted((tmp_path / "second").glob("talker.safetensors.*")))
    (tmp_path / "again.safetensors").write_bytes(again)
    first, second = (load_bundle(tmp_path / f"{name}.safetensors").tensors for name in ("talker", "again"))
    # At a learning rate of 0 only running statistics change, so equal weights show that training started from them.
    for name, value in first.items():
        if "running" not in name:
            np.testing.assert_allclose(second[name], value, rtol=2e-3, atol=1e-6, err_msg=name)
    assert json.loads((tmp_path / "second" / "journal.jsonl").read_text().splitlines()[0])["step"] == 1
