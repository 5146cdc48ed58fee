"""Stage `generator`: rebuild frame k from the identity picture, the speech at k and the augmented frame k."""

import dataclasses

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.data.library import Batch, Library
from pcavs.face.regions import INNER_LIPS, LIPS, OUTER_LIPS
from pcavs.models.generator import Codes, Fields, compose
from pcavs.models.identity import IdentityFeatures
from pcavs.models.talker import IdentityCode, Talker
from pcavs.spec import MESH_POINTS
from pcavs.train.losses import edge_distance, landmark_flow, roughness
from pcavs.train.options import TrainOptions
from pcavs.train.stage import Bound, TrainingHeads, bind, draw, weigh
from pcavs.train.sync import SyncStage

WEIGHTS = {
    "flow": 1.0,
    "coarse_flow": 0.5,
    "pixels": 4.0,
    "edges": 2.0,
    "colours": 0.5,
    "opening": 1.0,
    "inside": 0.01,
    "roughness": 0.05,
    "across": 0.1,
    "within": 0.3,
    "meet": 0.2,
    "lips_seen": 0.3,
    "lips_heard": 0.3,
    "pose": 1.0,
}

LIP_WEIGHT = 8.0
"""Lips are a tenth of the landmarks and most of what a listener watches."""

COLOUR_CHARGE = 6.0
"""Price of a pixel of colour once colours are let in: below it blur spreads over what flow does well."""

SYNC_SIZE = {"clips": 4, "moments": 16}
"""Of the sync steps between: few moments a clip teach who speaks, many teach when."""

SPEECH_SHARE = 0.6
"""Share of heard targets driven by speech; the others are driven by the content seen, the easier teacher."""


class GeneratorStage:
    """Reconstruction; every network learns, but rebuilding frames never teaches the pose or the content head.

    A pose head that reconstruction may train carries the mouth (docs/decisions/0003).
    """

    def __init__(self, talker: Talker, heads: TrainingHeads, library: Library, options: TrainOptions) -> None:
        """Trains all parts of the talker."""
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads})
        self._talker, self._heads, self._library, self._options = talker, heads, library, options
        self._sync = SyncStage(talker, heads, library, dataclasses.replace(options, **SYNC_SIZE))
        self._lip_weights = torch.ones(MESH_POINTS)
        self._lip_weights[list(LIPS)] = LIP_WEIGHT

    def batch(self, step: int) -> Batch:
        """Draws clips of all kinds, silent ones too."""
        options = self._options
        if self._is_sync(step):
            return self._sync.batch(step)
        return draw(self._library, options.seed, step, options.clips, options.moments, heard_only=False)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighs reconstruction, flow and the terms of `stage.bind`."""
        options = self._options
        if self._is_sync(step):
            loss, terms = self._sync.loss(batch, step)
            return loss, {f"sync_{name}": value for name, value in terms.items()}
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        bound = bind(self._talker, self._heads, batch, options.moments, generator)
        identity = repeat(self._talker.encode_identity(batch.identity), options.moments)
        driving = self._choose(bound, batch, generator)
        fields, flows = self._talker.generator(identity.features, identity.own, driving)
        inside, mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])
        terms = bound.terms | self._flow_terms(flows, batch)
        charge = 1.0 if step < options.colour_from_step else COLOUR_CHARGE
        terms |= picture_terms(fields, batch, inside, mouth, charge)
        return weigh(terms, WEIGHTS), terms

    def _is_sync(self, step: int) -> bool:
        return self._options.sync_every > 0 and step % self._options.sync_every == 0

    def _choose(self, bound: Bound, batch: Batch, generator: torch.Generator) -> Codes:
        """Speech or sight for the content; the true pose or the pose head's for the pose."""
        count, device = len(batch.heard), batch.heard.device
        by_speech = (torch.rand(count, generator=generator).to(device) < SPEECH_SHARE) & (batch.heard > 0)
        by_truth = torch.rand(count, generator=generator).to(device) < 0.5
        content = torch.where(by_speech[:, None], bound.heard, bound.seen.content.detach())
        return Codes(content, torch.where(by_truth[:, None], batch.pose, bound.seen.pose.detach().float()))

    def _flow_terms(self, flows: tuple[Tensor, ...], batch: Batch) -> dict[str, Tensor]:
        origin = batch.identity_mesh.repeat_interleave(self._options.moments, dim=0)
        weights = self._lip_weights.to(origin.device)
        errors = [landmark_flow(flow, origin, batch.target_mesh, weights).mean() for flow in flows]
        still = landmark_flow(torch.zeros_like(flows[0]), origin, batch.target_mesh, weights).mean()
        return {
            "flow": errors[-1],
            "coarse_flow": torch.stack(errors[:-1]).mean(),
            "zero_flow": still,
            "roughness": roughness(flows[-1]),
        }


def repeat(identity: IdentityCode, times: int) -> IdentityCode:
    """Repeats each clip's identity for its targets; the codes are cut from reconstruction's gradient."""
    features = IdentityFeatures(
        identity.features.vector.repeat_interleave(times, dim=0),
        tuple(x.repeat_interleave(times, dim=0) for x in identity.features.maps),
    )
    own = Codes(*(code.detach().repeat_interleave(times, dim=0) for code in identity.own))
    return IdentityCode(features, own)


def picture_terms(fields: Fields, batch: Batch, inside: Tensor, mouth: Tensor, charge: float) -> dict[str, Tensor]:
    """Compares the composed picture with the target, and charges for opening the mask outside the mouth."""
    picture = batch.identity.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
    made = compose(picture, fields)
    weight = 1 + 5 * mouth
    weight = weight / weight.mean()
    return {
        "pixels": ((made - batch.target).abs() * weight).mean(),
        "edges": edge_distance(made, batch.target),
        "colours": ((fields.colours - batch.target).abs() * weight).mean(),
        "opening": ((1 - fields.mask) * (1 - inside)).mean() * charge,
        # Between the lips the picture has nothing to move; a saturated mask would never find out by itself.
        "inside": -((1 - fields.mask).clamp(min=1e-4).log() * inside).sum() / inside.sum().clamp(min=1),
        "open_inside": ((1 - fields.mask) * inside).sum() / inside.sum().clamp(min=1),
        "mouth_pixels": ((made - batch.target).abs() * mouth).sum() / (3 * mouth.sum()),
        "zero_mouth_pixels": ((picture - batch.target).abs() * mouth).sum() / (3 * mouth.sum()),
    }


def mouth_masks(
    mesh: Float[Tensor, "batch 478 2"], side: int
) -> tuple[Float[Tensor, "batch 1 side side"], Float[Tensor, "batch 1 side side"]]:
    """Draws two areas of each face: inside the lips, and the mouth with the skin around it."""
    points = ((mesh.cpu().numpy() + 1) * side / 2 - 0.5).round().astype(np.int32)
    inside = np.zeros((len(points), 1, side, side), np.float32)
    mouth = np.zeros_like(inside)
    margin = np.ones((side // 12 * 2 + 1,) * 2, np.uint8)
    for index, face in enumerate(points):
        cv2.fillPoly(inside[index, 0], [face[list(INNER_LIPS)]], (1.0,))
        cv2.fillPoly(mouth[index, 0], [face[list(OUTER_LIPS)]], (1.0,))
        mouth[index, 0] = cv2.dilate(mouth[index, 0], margin)
    return torch.from_numpy(inside).to(mesh.device), torch.from_numpy(mouth).to(mesh.device)
