"""One step of each published stage, at 224 with the published networks: about a minute on two cores."""

from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.drawn import write_drawn_packs
from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.models.build import build_model
from pcavs.spec import TalkerSpec
from pcavs.train.options import TrainOptions
from pcavs.train.session import STAGES
from pcavs.train.stage import Scratch, TrainingHeads

TAUGHT = {
    "identity": {"identity", "classifier"},
    "sync": {"motion", "speech"},
    "generator": {"identity", "motion", "speech", "generator", "classifier", "face_discriminator"},
}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn_packs(tmp_path_factory.mktemp("packs"), side_px=224, frames=6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", ["identity", "sync", "generator"])
def test_a_published_stage_takes_a_step(stage: str, packs: Path):
    spec = TalkerSpec(kind="paper")
    loaded = PackCorpus.load(find_packs([packs]), "train")
    corpus = PackCorpus([clip for clip in loaded.clips if clip.mel is not None], loaded.frame_px)
    options = TrainOptions(
        packs=(packs,),
        run=packs / "run",
        stage=stage,
        kind="paper",
        losses="published",
        pose_head="free",
        augmentation="paper",
        discriminators=("face",) if stage == "generator" else (),
        clips=2,
        moments=1,
    )
    torch.manual_seed(0)
    made = STAGES[stage](build_model(spec), TrainingHeads(spec, 80), corpus, options)
    made.modules.train()
    drawn, scratch, taught = made.batch(1), Scratch(), set[str]()
    assert drawn.augmented.shape == (2, 3, 224, 224)
    for phase in made.phases:
        if not phase.due(1):
            continue
        learner = made.learners[phase.learner].modules
        optimizer = torch.optim.Adam(learner.parameters(), 1e-4, betas=(0.0, 0.9))
        loss, terms = phase.loss(drawn, 1, scratch)
        assert all(bool(torch.isfinite(value)) for value in terms.values()), terms
        made.modules.zero_grad(set_to_none=True)
        loss.backward()
        networks = dict(learner.named_children())
        networks |= dict(networks.pop("model").named_children()) if "model" in networks else {}
        taught |= {name for name, network in networks.items() if has_gradient(network)}
        optimizer.step()
    assert taught == TAUGHT[stage]
    assert all(bool(torch.isfinite(parameter).all()) for parameter in made.modules.parameters())


def has_gradient(network: nn.Module) -> bool:
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    return any(bool((gradient != 0).any()) for gradient in gradients)
