"""Rebuilding a target frame: what is particular to the kind of talker, chosen once."""

from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pcavs.data.corpus import Batch
from pcavs.face.regions import INNER_LIPS, LIPS, OUTER_LIPS
from pcavs.models.flow import FlowModel, IdentityCode
from pcavs.models.generator import Codes, Fields, compose
from pcavs.models.identity import IdentityFeatures
from pcavs.models.paper import PaperModel
from pcavs.models.resnet import PaperIdentity
from pcavs.spec import MESH_POINTS
from pcavs.train.losses import edge_distance, landmark_flow, roughness
from pcavs.train.options import TrainOptions
from pcavs.train.stage import ALONE, AnyTalker, Crew, Terms

LIP_WEIGHT = 8.0
"""Lips are a tenth of the landmarks and most of what a listener watches."""

COLOUR_CHARGE = 6.0
"""Price of a pixel of colour once colours are let in: below it blur spreads over what flow does well."""


class Rebuilt(NamedTuple):
    """Targets as a talker makes them from the identity frame of their clip."""

    made: Float[Tensor, "targets 3 side side"]
    """RGB in [-1, 1]."""
    vector: Float[Tensor, "clips identity"]
    """Identity vectors of the clips' identity frames."""
    terms: Terms
    """What is particular to this kind of talker."""


@runtime_checkable
class Rebuilder(Protocol):
    """Rebuilds targets, as one kind of talker does it."""

    def rebuild(self, batch: Batch, driving: Codes, step: int) -> Rebuilt:
        """Rebuilds the targets of a batch under driving codes."""
        ...

    def show(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Moves each face, RGB in [-1, 1], under its driving codes; gives pictures, and fields where there are any."""
        ...


def make_rebuilder(talker: AnyTalker, options: TrainOptions, crew: Crew = ALONE) -> Rebuilder:
    """Chooses by the kind of talker."""
    if isinstance(talker, PaperModel):
        return PaperRebuilder(talker, crew)
    return FlowRebuilder(talker, options, crew)


class PaperRebuilder:
    """Rebuilds by painting: the picture is all that there is to compare."""

    def __init__(self, talker: PaperModel, crew: Crew = ALONE) -> None:
        """Takes the talker whose identity encoder and generator learn."""
        self._talker, self._crew = talker, crew

    def rebuild(self, batch: Batch, driving: Codes, step: int) -> Rebuilt:
        """Paints the targets."""
        identity = self._talker.encode_identity(batch.identity)
        made = self._talker.render(repeat_paper(identity, len(batch.target) // len(batch.identity)), driving)
        return Rebuilt(made, identity.vector, picture_terms(made.float(), batch, mouth_areas(batch, self._crew)))

    def show(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Paints."""
        return self._talker.render(self._talker.encode_identity(faces), driving).float(), None


class FlowRebuilder:
    """Rebuilds by moving the identity picture: flow is taught at the landmarks, the mask has a price."""

    def __init__(self, talker: FlowModel, options: TrainOptions, crew: Crew = ALONE) -> None:
        """Charges the mask in full until `colour_from_step`."""
        self._talker, self._colour_from_step, self._crew = talker, options.colour_from_step, crew
        self._pose_free = options.pose_head == "free"
        self._lip_weights = torch.ones(MESH_POINTS)
        self._lip_weights[list(LIPS)] = LIP_WEIGHT

    def rebuild(self, batch: Batch, driving: Codes, step: int) -> Rebuilt:
        """Moves the identity pictures."""
        identity = self._talker.encode_identity(batch.identity)
        times = len(batch.target) // len(batch.identity)
        many = repeat_flow(identity, times, pose_free=self._pose_free)
        fields, flows = self._talker.generator(many.features, many.own, driving)
        picture = batch.identity.repeat_interleave(times, dim=0)
        made = compose(picture, fields)
        charge = 1.0 if step < self._colour_from_step else COLOUR_CHARGE
        areas = mouth_areas(batch, self._crew)
        terms = picture_terms(made, batch, areas) | mask_terms(fields, batch, areas, charge)
        return Rebuilt(made, identity.features.vector, terms | self._flow_terms(flows, batch))

    def show(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Moves, and gives the fields too."""
        fields = self._talker.render(self._talker.encode_identity(faces), driving)
        return compose(faces, fields), fields

    def _flow_terms(self, flows: tuple[Tensor, ...], batch: Batch) -> Terms:
        origin = batch.identity_mesh.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
        weights = self._lip_weights.to(origin.device)
        errors = [landmark_flow(flow, origin, batch.target_mesh, weights).mean() for flow in flows]
        still = landmark_flow(torch.zeros_like(flows[0]), origin, batch.target_mesh, weights).mean()
        return {
            "flow": errors[-1],
            "coarse_flow": torch.stack(errors[:-1]).mean(),
            "zero_flow": still,
            "roughness": roughness(flows[-1]),
        }


def repeat_flow(identity: IdentityCode, times: int, *, pose_free: bool = False) -> IdentityCode:
    """Repeats each clip's identity for its targets; its codes are cut from reconstruction, save a free pose."""
    features = IdentityFeatures(
        identity.features.vector.repeat_interleave(times, dim=0),
        tuple(x.repeat_interleave(times, dim=0) for x in identity.features.maps),
    )
    pose = identity.own.pose if pose_free else identity.own.pose.detach()
    own = Codes(identity.own.content.detach(), pose)
    return IdentityCode(features, Codes(*(code.repeat_interleave(times, dim=0) for code in own)))


def repeat_paper(identity: PaperIdentity, times: int) -> PaperIdentity:
    """Repeats each clip's identity for its targets."""
    return PaperIdentity(*(part.repeat_interleave(times, dim=0) for part in identity))


class MouthAreas(NamedTuple):
    """Where the mouths of a batch are, and how much of it they take."""

    inside: Float[Tensor, "targets 1 side side"]
    """1 between the lips, else 0."""
    mouth: Float[Tensor, "targets 1 side side"]
    """1 on the mouth and the skin around it, else 0."""
    weight: Float[Tensor, "targets 1 side side"]
    """Six times as much on the mouth as elsewhere, 1 on average."""
    inside_px: Float[Tensor, ""]
    mouth_px: Float[Tensor, ""]


def mouth_areas(batch: Batch, crew: Crew = ALONE) -> MouthAreas:
    """Draws the areas of the targets; averages and sizes are over all processes, so that these learn as one."""
    inside, mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])
    weight = 1 + 5 * mouth
    sizes = (crew.mean(area.sum()) for area in (inside, mouth))
    return MouthAreas(inside, mouth, weight / crew.mean(weight.mean()), *sizes)


def picture_terms(made: Tensor, batch: Batch, areas: MouthAreas) -> Terms:
    """Compares rebuilt with real targets, the mouth weighted; and the mouth alone, for watching."""
    picture = batch.identity.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
    return {
        "pixels": ((made - batch.target).abs() * areas.weight).mean(),
        "edges": edge_distance(made, batch.target),
        "mouth_pixels": ((made - batch.target).abs() * areas.mouth).sum() / (3 * areas.mouth_px),
        "zero_mouth_pixels": ((picture - batch.target).abs() * areas.mouth).sum() / (3 * areas.mouth_px),
    }


def mask_terms(fields: Fields, batch: Batch, areas: MouthAreas, charge: float) -> Terms:
    """Compares the colours by themselves, and charges for opening the mask outside the mouth."""
    inside, inside_px = areas.inside, areas.inside_px.clamp(min=1)
    return {
        "colours": ((fields.colours - batch.target).abs() * areas.weight).mean(),
        "opening": ((1 - fields.mask) * (1 - inside)).mean() * charge,
        # Between the lips the picture has nothing to move; a saturated mask would never find out by itself.
        "inside": -((1 - fields.mask).clamp(min=1e-4).log() * inside).sum() / inside_px,
        "open_inside": ((1 - fields.mask) * inside).sum() / inside_px,
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
