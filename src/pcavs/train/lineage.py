"""Where a run and its weights come from: the code, the data, the settings, and the weights that it started with.

A run's folder holds it as `provenance.json`, and every bundle that the run writes has it in its provenance.
"""

import hashlib
import json
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pcavs
from pcavs.data.corpus import Corpus
from pcavs.data.pack import find_packs
from pcavs.errors import WeightsError
from pcavs.media.files import write_json
from pcavs.spec import FRAME_RATE
from pcavs.train.checkpoint import start_file
from pcavs.train.loss_weights import weights_of
from pcavs.train.options import TrainOptions
from pcavs.train.recipe import plain_settings
from pcavs.weights.bundle import load_provenance
from pcavs.weights.networks import file_digest

RUN_PROVENANCE: Final = "provenance.json"
"""File of a run's folder: a list with an entry for each time that the run went on with other facts."""

NETWORKS: Final = ("identity", "motion", "speech", "generator")
"""A talker's networks."""

TRAINS: Final = {
    "identity": {"identity"},
    "visual": {"identity", "motion", "generator"},
    "speech": {"speech"},
    "sync": {"motion", "speech"},
    "generator": set(NETWORKS),
}
"""For each stage the networks that it trains."""

VGG: Final = "VGG19 of torchvision"
SUBSTITUTE: Final = "a frozen copy of the run's identity encoder, in place of VGG19"
"""What a perceptual loss compares features of."""

_SAFETENSORS_LENGTH_BYTES: Final = 8
"""A safetensors file begins with the length of its header."""
_PATHS: Final = ("run", "packs", "shards", "vgg", "start", "pipeline")
"""Settings that name places of one machine, which bundles do not."""


def run_facts(options: TrainOptions, corpus: Corpus) -> dict[str, str]:
    """Returns what is known of a run's origin, as texts for a bundle's provenance.

    - `pcavs`, `commit`: version, and commit of the checkout or of the installed repository where it is known. Changes
      that are not committed are not seen.
    - `data`, `data_sources`: digest of the index of packs or shards; hours and speakers by source.
    - `recipe`: all settings but places, as JSON.
    - `stages`: the stages that trained the weights, from the first; a start of unknown stages stands by its name.
    - `parents`: name and SHA-256 of the weights that the run started with, those that these started with first.
    - `untrained`: networks that no stage has trained yet; left out if there are none.
    - `perceptual`: what a perceptual loss compares features of; left out if the run has none.

    Raises:
        WeightsError: There are no weights at `start`.
    """
    start = start_file(options.start) if options.start else None
    before = load_provenance(start) if start else {}
    settings = {name: value for name, value in plain_settings(options).items() if name not in _PATHS}
    facts = {
        "pcavs": pcavs.__version__,
        "data": f"sha256:{data_digest(options)}",
        "data_sources": _sources(corpus),
        "recipe": json.dumps(settings, sort_keys=True),
        "stages": " > ".join([*([before.get("stages", _name(start))] if start else []), options.stage]),
    }
    if (commit := code_commit()) is not None:
        facts["commit"] = commit
    if start is not None:
        parents = [*json.loads(before.get("parents", "[]")), f"{_name(start)} sha256:{file_digest(start)}"]
        facts["parents"] = json.dumps(parents)
    if untrained := untrained_networks(options):
        facts["untrained"] = " ".join(untrained)
    if (network := perceptual_network(options)) is not None:
        facts["perceptual"] = network
    return facts


def untrained_networks(options: TrainOptions) -> list[str]:
    """Lists a talker's networks that neither the run's stage nor the one that it started from trains.

    A start of which nothing is known counts as trained.

    Raises:
        WeightsError: There are no weights at `start`.
    """
    before = list(NETWORKS)
    if options.start:
        before = load_provenance(start_file(options.start)).get("untrained", "").split()
    return [name for name in before if name not in TRAINS[options.stage]]


def perceptual_network(options: TrainOptions) -> str | None:
    """Says what the run's perceptual loss compares features of; None where it has none."""
    weights = weights_of(options.stage, options.kind, options.losses, options.term_weights)
    if options.stage not in ("visual", "generator") or weights.get("perceptual", 0) <= 0:
        return None
    if options.vgg is None:
        return SUBSTITUTE
    try:
        return f"{VGG}, sha256:{file_digest(options.vgg)}"
    except OSError as error:
        raise WeightsError(f"no VGG19 weights at {options.vgg} ({error.strerror}); give torchvision's file") from error


def data_digest(options: TrainOptions) -> str:
    """Returns a SHA-256 of the data's index: headers and sizes of packs, or ledgers of shards.

    Names of folders, and the order in which they are given, do not count.
    """
    files = find_packs(options.packs) if options.packs else []
    parts = [_pack_digest(file) for file in files]
    parts += [file_digest(ledger) for folder in options.shards for ledger in sorted(folder.glob("shard-*.jsonl"))]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


def _pack_digest(path: Path) -> str:
    with path.open("rb") as file:
        length = file.read(_SAFETENSORS_LENGTH_BYTES)
        header = file.read(int.from_bytes(length, "little"))
    return hashlib.sha256(header + str(path.stat().st_size).encode()).hexdigest()


def _sources(corpus: Corpus) -> str:
    frames: dict[str, int] = defaultdict(int)
    speakers: dict[str, set[str]] = defaultdict(set)
    for entry in corpus.entries:
        frames[entry.source] += entry.frames
        speakers[entry.source].add(entry.speaker)
    return "; ".join(
        f"{source or 'unnamed'} {frames[source] / FRAME_RATE / 3600:.2f} h of {len(speakers[source])} speakers"
        for source in sorted(frames)
    )


def _name(file: Path) -> str:
    """Returns the name of weights without the folders of this machine: of a run's, run and checkpoint."""
    if file.parent.name.startswith("checkpoint-"):
        return f"{file.parent.parent.absolute().name}/{file.parent.name}"
    return file.stem


def code_commit() -> str | None:
    """Returns the commit of the checkout that this package runs from, or was installed from; None if unknown."""
    root = Path(pcavs.__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / ".git").exists():
        return _head_of(root / ".git")
    try:
        text = metadata.distribution("pcavs").read_text("direct_url.json") or "{}"
        return json.loads(text).get("vcs_info", {}).get("commit_id")
    except (metadata.PackageNotFoundError, ValueError):
        return None


def _head_of(git: Path) -> str | None:
    """Reads the commit that a git folder has checked out, without starting git."""
    try:
        if git.is_file():  # a worktree or submodule
            git = git.parent / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        common = git / "commondir"
        main = git / common.read_text().strip() if common.is_file() else git
        for place in (git, main):
            if (place / name).is_file():
                return (place / name).read_text().strip()
        packed = (line.split() for line in (main / "packed-refs").read_text().splitlines())
        return next((words[0] for words in packed if words[1:] == [name]), None)
    except OSError:
        return None


def write_provenance(folder: Path, step: int, facts: dict[str, str]) -> None:
    """Adds an entry to `provenance.json` of a run's folder, unless the last one has the same facts.

    Raises:
        OutputError: It cannot be written.
    """
    path = folder / RUN_PROVENANCE
    entries: list[dict[str, Any]] = []
    if path.exists():
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            entries = []  # it is written anew
    known = {name: value for name, value in entries[-1].items() if name != "from_step"} if entries else None
    if known != facts:
        write_json(path, [*entries, {"from_step": step, **facts}])
