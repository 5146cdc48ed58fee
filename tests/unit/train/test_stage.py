"""Drawing the batch of a step: augmentations change their own inputs and nothing else."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.train.options import TrainOptions
from pcavs.train.stage import SINGLE_PROCESS, StepBatch, make_sampler, step_rng


@pytest.fixture
def corpus(drawn_packs: Path) -> PackCorpus:
    return PackCorpus.load(find_packs([drawn_packs]), "train")


def draw(corpus: PackCorpus, **changes: object) -> StepBatch:
    options = TrainOptions(run=Path("r"), packs=(Path("p"),), clips=3, moments=2, augmentation="none")
    return make_sampler(dataclasses.replace(options, **changes), SINGLE_PROCESS).sample(corpus, 4)


def test_without_augmentation_a_batch_is_as_recorded(corpus: PackCorpus):
    drawn, recorded = draw(corpus), corpus.batch(step_rng(0, 4), 3, 2)
    for value, wanted in zip(drawn.batch, recorded, strict=True):
        assert torch.equal(value, wanted)
    assert torch.equal(drawn.augmented, recorded.target)


def test_audio_augmentation_changes_mel_windows_only(corpus: PackCorpus):
    plain, changed = draw(corpus), draw(corpus, augment_audio=True)
    pairs = zip(plain.batch._fields, plain.batch, changed.batch, strict=True)
    different = [name for name, before, after in pairs if not torch.equal(before, after)]
    assert different == ["speech"]
    assert torch.equal(plain.augmented, changed.augmented)
    assert torch.equal(plain.uniform, changed.uniform)


def test_appearance_augmentation_keeps_speech_and_the_other_draws(corpus: PackCorpus):
    plain, changed = draw(corpus), draw(corpus, augment_appearance=True)
    assert not torch.equal(plain.batch.target, changed.batch.target)
    assert torch.equal(plain.batch.speech, changed.batch.speech)
    assert torch.equal(plain.uniform, changed.uniform)


def test_stage_visual_has_no_speech(corpus: PackCorpus):
    assert float(draw(corpus, stage="visual").batch.heard.max()) == 0
