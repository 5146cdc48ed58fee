"""Halves a bundle's precision, for a transfer: `python halve.py FROM TO`; beside train.py in the bundle as halve.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "site"))

from pcavs.weights.bundle import load_bundle, save_bundle


def main() -> None:
    """Reads the two arguments."""
    source, target = (Path(word) for word in sys.argv[1:3])
    save_bundle(load_bundle(source), target, half=True)


if __name__ == "__main__":
    main()
