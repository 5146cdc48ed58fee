"""The losses that tie speech content to visual content, shared by the stages `sync` and `generator`."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.data.corpus import Batch
from pcavs.models.motion import Codes
from pcavs.train.losses import contrast_across, contrast_within, masked_mean, published_contrast
from pcavs.train.options import TrainOptions, joined_frames
from pcavs.train.stage import Model, StepBatch, Terms, TrainingHeads, World

POSE_WEIGHTS: Final = (1.0,) * 9 + (2.0, 2.0, 2.0)
"""Weights of the pose code's numbers: nine of the rotation, two of translation, one of scale. The last three count
double, because each moves every pixel. Tuned by hand; not measured."""

LIP_UNITS_PER_CM: Final = 10
"""Lip errors are computed in millimetres, the size of lip motion in speech; the smooth L1 loss is quadratic below one
unit, so that errors in centimetres would hardly count."""


class EncodedTargets(NamedTuple):
    """Codes of a batch's targets, and the loss terms that tie them together."""

    visual: Codes
    """Content and pose code of the augmented targets."""
    speech: Float[Tensor, "targets content"]
    """Content of the targets' mel windows."""
    terms: Terms


class ContrastiveLoss:
    """Encodes augmented targets and their speech, and computes how well one identifies the other."""

    def __init__(self, model: Model, heads: TrainingHeads, options: TrainOptions, world: World) -> None:
        """Chooses the form of the contrast, and whether the pose head is supervised."""
        self._model, self._heads = model, heads
        self._moments, self._joined = options.moments, joined_frames(options)
        self._gather = world.gather
        self._contrast = self._published if options.losses == "published" else self._default
        self._supervise_pose = options.pose_head == "supervised"

    def encode(self, inputs: StepBatch) -> EncodedTargets:
        """Returns the codes and the terms of a batch.

        Default terms, with the paper's equations in parentheses:

        - `across`: cross-entropy of finding each target's speech among all of the batch, and the reverse (1, 2).
        - `within`: the same among the other moments of the same clip.
        - `cross_modal`: one minus the cosine between speech content and detached visual content.
        - `lips_seen`, `lips_heard`: error of the lip shape read from visual content and from speech content.

        The frames of a moment are contrasted as one vector, joined end to end. Published terms: `across` between
        clips, and `cross_modal` as a mean absolute difference. Both: `pose`, the error of the pose code, where the pose
        head is supervised. Only recorded are the accuracies `found_across` and `found_within`, and `visual_spread`,
        the standard deviation of visual content over the frames of the batch. Clips without speech take part in
        `lips_seen` and `pose` only.
        """
        batch = inputs.batch
        visual: Codes = self._model.motion(inputs.augmented)
        speech = self._model.encode_speech(batch.speech)
        terms = self._contrast(visual, speech, batch)
        directions = self._heads.direction(self._gather(visual.content.detach()))
        terms["visual_spread"] = directions.std(dim=0, correction=0).mean()
        if self._supervise_pose:
            weights = torch.tensor(POSE_WEIGHTS, device=batch.pose.device)
            terms["pose"] = ((visual.pose.float() - batch.pose).abs() * weights).mean()
        return EncodedTargets(visual, speech, terms)

    def _default(self, visual: Codes, speech: Tensor, batch: Batch) -> Terms:
        scale = self._heads.scale
        terms: Terms = {}
        # Codes of all processes are negatives of each other.
        heard = self._gather(batch.heard) > 0
        all_visual, all_speech = self._gather(visual.content), self._gather(speech)
        if bool(heard.any()):
            seen, said = (join_frames(codes[heard], self._joined) for codes in (all_visual, all_speech))
            terms["across"], terms["found_across"] = contrast_across(seen, said, scale)
            terms["within"], terms["found_within"] = contrast_within(seen, said, self._moments, scale)
            distance = 1 - functional.cosine_similarity(speech.float(), visual.content.detach().float(), dim=1)
            mask = heard.float()
            terms["cross_modal"] = masked_mean(self._gather(distance), mask)
            terms["lips_heard"] = masked_mean(self._gather(_lip_error(self._heads, speech, batch)), mask)
        terms["lips_seen"] = _lip_error(self._heads, visual.content, batch).mean()
        return terms

    def _published(self, visual: Codes, speech: Tensor, batch: Batch) -> Terms:
        heard = self._gather(batch.heard) > 0
        if not bool(heard.any()):
            return {}
        content, sound = self._gather(visual.content)[heard], self._gather(speech)[heard]
        clips = (join_frames(codes, self._moments * self._joined) for codes in (content, sound))
        across, found = published_contrast(*clips)
        cross_modal = (sound.float() - content.detach().float()).abs().mean()
        return {"across": across, "found_across": found, "cross_modal": cross_modal}


def join_frames(codes: Float[Tensor, "frames content"], count: int) -> Float[Tensor, "moments joined_content"]:
    """Concatenates the codes of every `count` consecutive frames."""
    return codes.unflatten(0, (-1, count)).flatten(1)


def _lip_error(heads: TrainingHeads, content: Tensor, batch: Batch) -> Float[Tensor, " targets"]:
    read, wanted = heads.read_lips(content) * LIP_UNITS_PER_CM, batch.lips * LIP_UNITS_PER_CM
    return functional.smooth_l1_loss(read, wanted, reduction="none").mean(dim=1)
