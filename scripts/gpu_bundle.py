"""Gathers what training needs on a machine without network access into one folder to copy there.

    python scripts/gpu_bundle.py OUT PACKS...

The machine must have torch, lightning, numpy, opencv and safetensors. The folder contains the packs, this package, and
the two pure Python packages that it also imports, as they are installed here. docs/train.md says how to use it.
"""

import argparse
import shutil
from importlib import metadata
from pathlib import Path
from typing import Final

from pcavs.data.pack import find_packs

ROOT = Path(__file__).resolve().parents[1]
COPIED_PACKAGES: Final = ("jaxtyping", "wadler-lindig")
CANONICAL: Final = Path("pcavs") / "assets" / "face" / "canonical_face.npz"
"""The one asset that training reads: the mirror image of a face is derived from it."""


def gather(out: Path, places: list[Path]) -> None:
    """Fills a new folder with `site` (packages), `packs` (renumbered), `recipes` and the scripts."""
    out.mkdir(parents=True)
    shutil.copytree(
        ROOT / "src" / "pcavs", out / "site" / "pcavs", ignore=shutil.ignore_patterns("assets", "__pycache__")
    )
    face = out / "site" / CANONICAL
    face.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "src" / CANONICAL, face)
    for name in COPIED_PACKAGES:
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
    """Fills the folder, and prints its size and the command to run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("packs", type=Path, nargs="+", help="folders of packs, or packs")
    chosen = parser.parse_args()
    gather(chosen.out, chosen.packs)
    size = sum(file.stat().st_size for file in chosen.out.rglob("*") if file.is_file())
    print(f"{chosen.out}: {size / 2**20:.0f} MiB; to train from it on the other machine:")
    print("""python train.py '{"stage": "sync", "run": "runs/sync"}'""")


if __name__ == "__main__":
    main()
