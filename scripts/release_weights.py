"""Makes the bundle that ships out of checkpoints of one run: running averages in float16, with where they come from.

    python scripts/release_weights.py CHECKPOINT/average.safetensors ... --out NAME.safetensors --fact recipe=...

Of several, the mean is taken. `pcavs weights export NAME.safetensors --out NAME` then makes the networks beside it.

Reference: Wortsman et al., "Model soups", ICML 2022, for why a mean of weights may be better than each.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from pcavs.weights.bundle import Bundle, load_bundle, save_bundle


def main() -> None:
    """Reads the command line, writes the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("averages", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fact", action="append", default=[], help="name=value, kept in the bundle's provenance")
    arguments = parser.parse_args()
    bundle = mean_of([load_bundle(average) for average in arguments.averages])
    facts = dict(fact.split("=", 1) for fact in arguments.fact)
    released = dataclasses.replace(bundle, provenance=bundle.provenance | {"name": arguments.out.stem} | facts)
    save_bundle(released, arguments.out, half=True)


def mean_of(bundles: list[Bundle]) -> Bundle:
    """Gives the first bundle with the mean of all their numbers; counts are the first one's."""
    first = bundles[0]
    if any(bundle.spec != first.spec for bundle in bundles):
        raise SystemExit("these are weights of different talkers; give checkpoints of one run")
    tensors = {
        name: np.mean([bundle.tensors[name].astype(np.float32) for bundle in bundles], axis=0).astype(own.dtype)
        if own.dtype.kind == "f"
        else own
        for name, own in first.tensors.items()
    }
    return dataclasses.replace(first, tensors=tensors)


if __name__ == "__main__":
    main()
