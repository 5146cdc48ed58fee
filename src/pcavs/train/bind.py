"""The losses that bind sound to sight, shared by the stages `sync` and `generator`."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.data.corpus import Batch
from pcavs.models.motion import Codes
from pcavs.train.losses import masked_mean, published_contrast, retrieval, retrieval_within
from pcavs.train.options import TrainOptions, joined_frames
from pcavs.train.stage import AnyTalker, Crew, Drawn, Terms, TrainingHeads

POSE_WEIGHTS = (1.0,) * 9 + (2.0, 2.0, 2.0)
"""Translation and scale move every pixel, a column of the rotation only some."""


class Bound(NamedTuple):
    """Codes of a batch's targets, and the terms that bind them."""

    seen: Codes
    heard: Tensor
    terms: Terms


class Binder:
    """Encodes augmented targets and their speech, and measures how well each says what the other does."""

    def __init__(self, talker: AnyTalker, heads: TrainingHeads, options: TrainOptions, crew: Crew) -> None:
        """Chooses the contrast and whether the pose is taught."""
        self._talker, self._heads = talker, heads
        self._moments, self._joined = options.moments, joined_frames(options)
        self._gather = crew.gather
        self._contrast = self._published if options.losses == "published" else self._repaired
        self._pose_taught = options.pose_head == "supervised"

    def bind(self, drawn: Drawn) -> Bound:
        """Gives codes and terms.

        Repaired: `across` and `within` (contrast against everything, and against other moments of the same clip; the
        frames of a moment are contrasted as one, their embeddings in a row),
        `meet` (speech regresses the content seen), `lips_seen` and `lips_heard` (lip shape read from content).
        Published: `across` (contrast between clips) and `cross_modal`. Both: `pose` (the twelve numbers) where the
        pose head is supervised.
        """
        batch = drawn.batch
        seen: Codes = self._talker.motion(drawn.augmented)
        heard = self._talker.encode_speech(batch.mel)
        terms = self._contrast(seen, heard, batch)
        if self._pose_taught:
            weights = torch.tensor(POSE_WEIGHTS, device=batch.pose.device)
            terms["pose"] = ((seen.pose.float() - batch.pose).abs() * weights).mean()
        return Bound(seen, heard, terms)

    def _repaired(self, seen: Codes, heard: Tensor, batch: Batch) -> Terms:
        scale = self._heads.scale
        terms: Terms = {}
        # What other processes saw and heard are negatives too.
        audible = self._gather(batch.heard) > 0
        all_seen, all_heard = self._gather(seen.content), self._gather(heard)
        if bool(audible.any()):
            content, sound = (joined(codes[audible], self._joined) for codes in (all_seen, all_heard))
            terms["across"], terms["found_across"] = retrieval(content, sound, scale)
            terms["within"], terms["found_within"] = retrieval_within(content, sound, self._moments, scale)
            meet = 1 - functional.cosine_similarity(heard.float(), seen.content.detach().float(), dim=1)
            share = audible.float()
            terms["meet"] = masked_mean(self._gather(meet), share)
            terms["lips_heard"] = masked_mean(self._gather(_lips_error(self._heads, heard, batch)), share)
        terms["lips_seen"] = _lips_error(self._heads, seen.content, batch).mean()
        return terms

    def _published(self, seen: Codes, heard: Tensor, batch: Batch) -> Terms:
        audible = self._gather(batch.heard) > 0
        if not bool(audible.any()):
            return {}
        content, sound = self._gather(seen.content)[audible], self._gather(heard)[audible]
        clips = (joined(codes, self._moments * self._joined) for codes in (content, sound))
        across, found = published_contrast(*clips)
        cross_modal = (sound.float() - content.detach().float()).abs().mean()
        return {"across": across, "found_across": found, "cross_modal": cross_modal}


def joined(codes: Float[Tensor, "frames content"], count: int) -> Float[Tensor, "moments joined_content"]:
    """Lays the codes of every `count` consecutive frames in a row."""
    return codes.unflatten(0, (-1, count)).flatten(1)


def _lips_error(heads: TrainingHeads, content: Tensor, batch: Batch) -> Tensor:
    # A millimetre of the mean lip point is the size of much of speech; in centimetres the error would vanish.
    return functional.smooth_l1_loss(heads.read_lips(content) * 10, batch.lips * 10, reduction="none").mean(dim=1)
