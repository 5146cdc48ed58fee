"""Makes the bundle that ships out of a checkpoint: the running average in float16, with where it comes from.

    python tools/release_weights.py CHECKPOINT/average.safetensors NAME.safetensors --fact recipe=... --fact data=...

`pcavs weights export NAME.safetensors --out NAME` then makes the networks beside it.
"""

import argparse
import dataclasses
from pathlib import Path

from pcavs.weights.bundle import load_bundle, save_bundle


def main() -> None:
    """Reads the command line, writes the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("average", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fact", action="append", default=[], help="name=value, kept in the bundle's provenance")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.average)
    facts = dict(fact.split("=", 1) for fact in arguments.fact)
    released = dataclasses.replace(bundle, provenance=bundle.provenance | {"name": arguments.out.stem} | facts)
    save_bundle(released, arguments.out, half=True)


if __name__ == "__main__":
    main()
