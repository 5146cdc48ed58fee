"""Converts a bundle to float16 for a smaller transfer: `python halve.py FROM TO` in the folder of gpu_bundle.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "site"))

from pcavs.weights.bundle import load_bundle, save_bundle


def main() -> None:
    """Converts the first argument to the second."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    save_bundle(load_bundle(source), target, half=True)


if __name__ == "__main__":
    main()
