"""Provenance of runs: commit, data, settings, parents, and what is still untrained."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from pcavs.data.pack_corpus import PackCorpus
from pcavs.errors import WeightsError
from pcavs.models.build import build_model
from pcavs.models.state import tensors_of
from pcavs.spec import TalkerSpec
from pcavs.train import lineage
from pcavs.train.lineage import _head_of, data_digest, run_facts, untrained_networks, write_provenance
from pcavs.train.options import TrainOptions
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.networks import file_digest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def options(packs: Path, **changes: object) -> TrainOptions:
    return TrainOptions(run=Path("run"), packs=(packs,), **changes)  # pyright: ignore[reportArgumentType]


def bundle(spec: TalkerSpec, path: Path, **facts: str) -> Path:
    save_bundle(Bundle(spec=spec, tensors=tensors_of(build_model(spec)), provenance=facts, licence="x"), path)
    return path


def test_a_run_knows_its_data_settings_and_parents(drawn_packs: Path, tiny_spec: TalkerSpec, tmp_path: Path):
    corpus = PackCorpus.load(sorted(drawn_packs.glob("pack-*")), "train")
    checkpoint = tmp_path / "visual" / "checkpoint-00000009"
    checkpoint.mkdir(parents=True)
    known = {"stages": "identity > visual", "parents": '["old sha256:1"]', "untrained": "speech"}
    start = bundle(tiny_spec, checkpoint / "average.safetensors", **known)
    (checkpoint / "done").touch()
    facts = run_facts(options(drawn_packs, stage="sync", lr=0.25, start=tmp_path / "visual"), corpus)
    assert facts["stages"] == "identity > visual > sync"
    assert json.loads(facts["parents"]) == [
        "old sha256:1",
        f"visual/checkpoint-00000009 sha256:{file_digest(start)}",
    ]
    assert json.loads(facts["recipe"])["lr"] == 0.25
    assert str(tmp_path) not in json.dumps(facts)
    assert "speakers" in facts["data_sources"]
    assert "untrained" not in facts
    assert "perceptual" not in facts


def test_networks_that_no_stage_trained_are_known(drawn_packs: Path, tiny_spec: TalkerSpec, tmp_path: Path):
    assert untrained_networks(options(drawn_packs, stage="identity")) == ["motion", "speech", "generator"]
    start = bundle(tiny_spec, tmp_path / "a.safetensors", untrained="motion speech generator")
    assert untrained_networks(options(drawn_packs, stage="visual", start=start)) == ["speech"]
    unknown = bundle(tiny_spec, tmp_path / "b.safetensors")
    assert untrained_networks(options(drawn_packs, stage="sync", start=unknown)) == []


def test_the_digest_is_of_the_data_and_not_of_its_place(drawn_packs: Path, tmp_path: Path):
    same = shutil.copytree(drawn_packs, tmp_path / "same")
    assert data_digest(options(same)) == data_digest(options(drawn_packs))
    twice = dataclasses.replace(options(same), packs=(same, drawn_packs))
    assert data_digest(twice) != data_digest(options(same))


def test_vgg_weights_are_named_or_their_substitute(drawn_packs: Path, tmp_path: Path):
    paper = options(drawn_packs, stage="generator", kind="paper")
    assert lineage.perceptual_network(paper) == lineage.SUBSTITUTE
    vgg = tmp_path / "vgg.pth"
    vgg.write_bytes(b"weights")
    assert (
        lineage.perceptual_network(dataclasses.replace(paper, vgg=vgg)) == f"{lineage.VGG}, sha256:{file_digest(vgg)}"
    )
    with pytest.raises(WeightsError, match="no VGG19 weights at .*; give torchvision's file"):
        lineage.perceptual_network(dataclasses.replace(paper, vgg=tmp_path / "none"))
    assert lineage.perceptual_network(options(drawn_packs, stage="generator")) is None


@pytest.mark.parametrize("place", ["detached", "loose", "packed", "worktree"])
def test_the_commit_of_a_checkout_is_read_without_git(place: str, tmp_path: Path):
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text(f"{COMMIT}\n" if place == "detached" else "ref: refs/heads/main\n")
    if place == "packed":
        (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/heads/main\n")
    else:
        (git / "refs" / "heads").mkdir(parents=True)
        (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    if place == "worktree":
        own = git / "worktrees" / "one"
        own.mkdir(parents=True)
        (own / "HEAD").write_text("ref: refs/heads/main\n")
        (own / "commondir").write_text("../..\n")
        git = tmp_path / "file"
        git.write_text(f"gitdir: {own}\n")
    assert _head_of(git) == COMMIT
    assert _head_of(tmp_path / "none") is None


def test_provenance_gets_an_entry_only_where_facts_change(tmp_path: Path):
    for step, facts in ((0, {"commit": "a"}), (5, {"commit": "a"}), (9, {"commit": "b"})):
        write_provenance(tmp_path, step, facts)
    entries = json.loads((tmp_path / "provenance.json").read_text())
    assert entries == [{"from_step": 0, "commit": "a"}, {"from_step": 9, "commit": "b"}]
