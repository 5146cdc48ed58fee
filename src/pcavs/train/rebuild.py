"""Rebuilding a target frame: what is particular to the kind of talker, chosen once."""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pcavs.data.library import Batch
from pcavs.face.regions import INNER_LIPS, LIPS, OUTER_LIPS
from pcavs.models.generator import Codes, Fields, compose
from pcavs.models.identity import IdentityFeatures
from pcavs.models.talker import IdentityCode, Talker
from pcavs.spec import MESH_POINTS
from pcavs.train.losses import edge_distance, landmark_flow, roughness
from pcavs.train.stage import Terms

LIP_WEIGHT = 8.0
"""Lips are a tenth of the landmarks and most of what a listener watches."""

COLOUR_CHARGE = 6.0
"""Price of a pixel of colour once colours are let in: below it blur spreads over what flow does well."""


class FlowRebuilder:
    """Rebuilds by moving the identity picture: flow is taught at the landmarks, the mask has a price."""

    def __init__(self, talker: Talker, moments: int, colour_from_step: int) -> None:
        """Charges the mask in full until `colour_from_step`."""
        self._talker, self._moments, self._colour_from_step = talker, moments, colour_from_step
        self._lip_weights = torch.ones(MESH_POINTS)
        self._lip_weights[list(LIPS)] = LIP_WEIGHT

    def rebuild(self, batch: Batch, driving: Codes, step: int) -> tuple[Tensor, Terms]:
        """Gives the rebuilt targets, RGB in [-1, 1], and the terms of flow, mask and pixels."""
        identity = repeat(self._talker.encode_identity(batch.identity), self._moments)
        fields, flows = self._talker.generator(identity.features, identity.own, driving)
        picture = batch.identity.repeat_interleave(self._moments, dim=0)
        made = compose(picture, fields)
        charge = 1.0 if step < self._colour_from_step else COLOUR_CHARGE
        return made, self._flow_terms(flows, batch) | picture_terms(made, fields, batch, charge)

    def _flow_terms(self, flows: tuple[Tensor, ...], batch: Batch) -> Terms:
        origin = batch.identity_mesh.repeat_interleave(self._moments, dim=0)
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


def picture_terms(made: Tensor, fields: Fields, batch: Batch, charge: float) -> Terms:
    """Compares the composed picture with the target, and charges for opening the mask outside the mouth."""
    picture = batch.identity.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
    inside, mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])
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
