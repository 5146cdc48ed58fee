"""The classifier of speakers."""

import math

import pytest
import torch

from pcavs.train.identity import MARGIN_SCALE, SpeakerClassifier


def test_a_margin_raises_the_loss():
    torch.manual_seed(0)
    vectors, speakers = torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])
    strict, plain = SpeakerClassifier(8, 3, 0.2), SpeakerClassifier(8, 3)
    logits = strict(vectors)
    eased = torch.nn.functional.cross_entropy(logits, speakers)
    assert float(strict.loss(vectors, speakers)[0].detach()) > float(eased.detach())
    assert float(logits.detach().abs().max()) <= MARGIN_SCALE
    with torch.no_grad():
        plain.linear.weight.zero_()
        plain.linear.bias.zero_()
    assert float(plain.loss(vectors, speakers)[0].detach()) == pytest.approx(math.log(3))
