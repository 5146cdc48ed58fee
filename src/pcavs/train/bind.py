"""The losses that bind sound to sight, shared by the stages `sync` and `generator`."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pcavs.data.library import Batch
from pcavs.models.motion import Motion
from pcavs.models.talker import Talker
from pcavs.train.losses import masked_mean, retrieval, retrieval_within
from pcavs.train.stage import Drawn, Terms, TrainingHeads

POSE_WEIGHTS = (1.0,) * 9 + (2.0, 2.0, 2.0)
"""Translation and scale move every pixel, a column of the rotation only some."""


class Bound(NamedTuple):
    """Codes of a batch's targets, and the terms that bind them."""

    seen: Motion
    heard: Tensor
    terms: Terms


def bind(talker: Talker, heads: TrainingHeads, drawn: Drawn, moments: int) -> Bound:
    """Encodes augmented targets and their speech, and measures how well each says what the other does.

    Terms: `across` and `within` (contrast against everything, and against other moments of the same clip),
    `meet` (speech regresses the content seen), `lips_seen` and `lips_heard` (lip shape read from content),
    `pose` (the twelve numbers).
    """
    batch = drawn.batch
    seen: Motion = talker.motion(drawn.augmented)
    heard = talker.encode_speech(batch.mel)
    audible = batch.heard > 0
    terms: Terms = {}
    if bool(audible.any()):
        terms["across"], terms["found_across"] = retrieval(seen.content[audible], heard[audible], heads.scale)
        terms["within"], terms["found_within"] = retrieval_within(
            seen.content[audible], heard[audible], moments, heads.scale
        )
        meet = 1 - functional.cosine_similarity(heard.float(), seen.content.detach().float(), dim=1)
        terms["meet"] = masked_mean(meet, batch.heard)
        terms["lips_heard"] = masked_mean(_lips_error(heads, heard, batch), batch.heard)
    terms["lips_seen"] = _lips_error(heads, seen.content, batch).mean()
    weights = torch.tensor(POSE_WEIGHTS, device=batch.pose.device)
    terms["pose"] = ((seen.pose.float() - batch.pose).abs() * weights).mean()
    return Bound(seen, heard, terms)


def _lips_error(heads: TrainingHeads, content: Tensor, batch: Batch) -> Tensor:
    # A millimetre of the mean lip point is the size of much of speech; in centimetres the error would vanish.
    return functional.smooth_l1_loss(heads.read_lips(content) * 10, batch.lips * 10, reduction="none").mean(dim=1)
