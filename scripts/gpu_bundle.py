"""Gathers what training needs on a bare machine with an accelerator: one folder to copy there, and one command to run.

    python scripts/gpu_bundle.py OUT PACKS...

The machine must have torch, lightning, numpy, opencv and safetensors. The folder brings packs, this package, and the
two pure Python packages that it imports beside those, as they are installed here; docs/train.md says the rest.
"""

import argparse
import shutil
from importlib import metadata
from pathlib import Path

from pcavs.data.pack import find_packs

ROOT = Path(__file__).resolve().parents[1]
BROUGHT = ("jaxtyping", "wadler-lindig")
CANONICAL = Path("pcavs") / "assets" / "face" / "canonical_face.npz"
"""The one asset that training reads: it says which landmark mirrors which."""


def gather(out: Path, places: list[Path]) -> None:
    """Fills a new folder: `site` (packages), `packs` (numbered anew), `recipes` and the scripts."""
    out.mkdir(parents=True)
    shutil.copytree(
        ROOT / "src" / "pcavs", out / "site" / "pcavs", ignore=shutil.ignore_patterns("assets", "__pycache__")
    )
    face = out / "site" / CANONICAL
    face.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "src" / CANONICAL, face)
    for name in BROUGHT:
        for file in metadata.files(name) or []:
            if file.suffix == ".py" or ".dist-info" in file.parts[0]:
                target = out / "site" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    (out / "packs").mkdir()
    for number, pack in enumerate(find_packs(places)):
        shutil.copyfile(pack, out / "packs" / f"pack-{number:03d}.safetensors")
    shutil.copyfile(ROOT / "scripts" / "gpu_train.py", out / "train.py")
    shutil.copyfile(ROOT / "scripts" / "gpu_halve.py", out / "halve.py")
    shutil.copytree(ROOT / "recipes", out / "recipes")


def main() -> None:
    """Reads the two arguments and says how large the folder is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("packs", type=Path, nargs="+", help="folders of packs, or packs")
    chosen = parser.parse_args()
    gather(chosen.out, chosen.packs)
    size = sum(file.stat().st_size for file in chosen.out.rglob("*") if file.is_file())
    print(f'{chosen.out}: {size / 2**20:.0f} MiB; there: python train.py \'{{"stage": "sync", "run": "runs/sync"}}\'')


if __name__ == "__main__":
    main()
