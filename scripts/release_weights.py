"""Makes a bundle for release from averaged weights of one run's checkpoints, in float16 and with their provenance.

    python scripts/release_weights.py CHECKPOINT/average.safetensors ... --out NAME.safetensors --fact recipe=...

Several files are averaged. `--speech FILE` takes the speech encoder from another file: stage `speech` trains it apart
from the generator, in the same space of content. `pcavs weights export NAME.safetensors --out NAME` then makes the
OpenVINO networks.

Reference: Wortsman et al., "Model soups", ICML 2022: averages of fine-tuned weights can be better than each of them.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from pcavs.weights.bundle import Bundle, load_bundle, save_bundle


def main() -> None:
    """Averages the weights and writes the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("averages", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fact", action="append", default=[], help="name=value, added to the bundle's provenance")
    parser.add_argument("--speech", type=Path, help="weights whose speech encoder replaces the others'")
    arguments = parser.parse_args()
    bundle = mean_of([load_bundle(average) for average in arguments.averages])
    if arguments.speech:
        bundle = with_speech_of(bundle, load_bundle(arguments.speech))
    facts = dict(fact.split("=", 1) for fact in arguments.fact)
    released = dataclasses.replace(bundle, provenance=bundle.provenance | {"name": arguments.out.stem} | facts)
    save_bundle(released, arguments.out, half=True)


def mean_of(bundles: list[Bundle]) -> Bundle:
    """Returns the first bundle with the mean of all floating-point tensors; its integer tensors stay."""
    first = bundles[0]
    if any(bundle.spec != first.spec for bundle in bundles):
        raise SystemExit("the specs of these weights differ; give checkpoints of one run")
    tensors = {
        name: np.mean([bundle.tensors[name].astype(np.float32) for bundle in bundles], axis=0).astype(own.dtype)
        if own.dtype.kind == "f"
        else own
        for name, own in first.tensors.items()
    }
    return dataclasses.replace(first, tensors=tensors)


def with_speech_of(bundle: Bundle, other: Bundle) -> Bundle:
    """Returns a bundle with the speech encoder of another one, whose spec must be equal."""
    if other.spec != bundle.spec:
        raise SystemExit("the weights of --speech have another spec")
    speech = {name: value for name, value in other.tensors.items() if name.startswith("speech.")}
    return dataclasses.replace(bundle, tensors=bundle.tensors | speech)


if __name__ == "__main__":
    main()
