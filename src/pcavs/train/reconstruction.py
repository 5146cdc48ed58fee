"""Reconstruction of target frames, and its loss terms, for either kind of talker."""

from typing import Final, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

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
from pcavs.train.stage import SINGLE_PROCESS, Model, Terms, World

LIP_WEIGHT: Final = 8.0
"""Weight of the lip landmarks in the flow terms, others weigh 1: lips are a tenth of the landmarks and most of what a
viewer looks at. Tuned by hand; not measured."""

COLOUR_PRICE: Final = 6.0
"""Factor on the term `mask_outside` from `colour_from_step` on; before it is 1. Measured (dev/LOG.md): at 0.3 the mouth
became a blur, although its pixel error fell; at 6 the lips stayed sharp, with equal or lower errors."""

MOUTH_PIXEL_WEIGHT: Final = 6.0
"""Weight of the mouth's pixels in the picture terms; others weigh 1. Tuned by hand; not measured."""

MOUTH_MARGIN: Final = 1 / 12
"""Width of the skin around the outer lips that belongs to the mouth, as a share of the crop's side. Chosen by eye."""

INVENTED_WEIGHT: Final = 0.15
"""Weight of a pixel that was invented; one as photographed weighs 1. Above 0, so that the generator still has a colour
to aim at there: an invented cheek or wall is plausible, but blurred. Chosen by hand; not measured."""

MIN_COLOUR_SHARE: Final = 1e-4
"""Smallest share of the colours in the logarithm of `mask_inside`."""


class Reconstructed(NamedTuple):
    """Targets as generated from their clip's identity frame."""

    pictures: Float[Tensor, "targets 3 side side"]
    """RGB in [-1, 1]."""
    vector: Float[Tensor, "clips identity"]
    """Identity vectors of the clips' identity frames."""
    terms: Terms


@runtime_checkable
class Reconstruction(Protocol):
    """Generates targets with one kind of talker, and compares them with the real ones."""

    def reconstruct(self, batch: Batch, driving: Codes, step: int) -> Reconstructed:
        """Generates the targets of a batch from driving codes, with the terms of this kind of talker."""
        ...

    def render(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Generates one frame for each face and code, RGB in [-1, 1]; returns the fields too, where there are any."""
        ...


def make_reconstruction(model: Model, options: TrainOptions, world: World = SINGLE_PROCESS) -> Reconstruction:
    """Builds the reconstruction for this kind of talker."""
    if isinstance(model, PaperModel):
        return PaperReconstruction(model, world)
    return FlowReconstruction(model, options, world)


class PaperReconstruction:
    """Reconstruction by a generator that paints whole pictures: only pictures can be compared."""

    def __init__(self, model: PaperModel, world: World = SINGLE_PROCESS) -> None:
        self._model, self._world = model, world

    def reconstruct(self, batch: Batch, driving: Codes, step: int) -> Reconstructed:
        """Generates the targets."""
        identity = self._model.encode_identity(batch.identity)
        pictures = self._model.render(repeat_paper(identity, len(batch.target) // len(batch.identity)), driving)
        terms = picture_terms(pictures.float(), batch, mouth_areas(batch, self._world))
        return Reconstructed(pictures, identity.vector, terms)

    def render(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Generates frames; there are no fields."""
        return self._model.render(self._model.encode_identity(faces), driving).float(), None


class FlowReconstruction:
    """Reconstruction by a generator that warps the identity frame.

    The displacement field is supervised at the landmarks, and a mask that lets colours in has a price.
    """

    def __init__(self, model: FlowModel, options: TrainOptions, world: World = SINGLE_PROCESS) -> None:
        self._model, self._colour_from_step, self._world = model, options.colour_from_step, world
        self._pose_free = options.pose_head == "free"
        self._landmark_weights = torch.ones(MESH_POINTS)
        self._landmark_weights[list(LIPS)] = LIP_WEIGHT

    def reconstruct(self, batch: Batch, driving: Codes, step: int) -> Reconstructed:
        """Generates the targets."""
        identity = self._model.encode_identity(batch.identity)
        times = len(batch.target) // len(batch.identity)
        repeated = repeat_flow(identity, times, pose_free=self._pose_free)
        fields, flows = self._model.generator(repeated.features, repeated.own, driving)
        pictures = compose(batch.identity.repeat_interleave(times, dim=0), fields)
        price = 1.0 if step < self._colour_from_step else COLOUR_PRICE
        areas = mouth_areas(batch, self._world)
        terms = picture_terms(pictures, batch, areas) | mask_terms(fields, batch, areas, price)
        return Reconstructed(pictures, identity.features.vector, terms | self._flow_terms(flows, batch))

    def render(self, faces: Tensor, driving: Codes) -> tuple[Tensor, Fields | None]:
        """Generates frames and their fields."""
        fields = self._model.render(self._model.encode_identity(faces), driving)
        return compose(faces, fields), fields

    def _flow_terms(self, flows: tuple[Tensor, ...], batch: Batch) -> Terms:
        origin = batch.identity_mesh.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
        weights = self._landmark_weights.to(origin.device)
        errors = [landmark_flow(flow, origin, batch.target_mesh, weights).mean() for flow in flows]
        still = landmark_flow(torch.zeros_like(flows[0]), origin, batch.target_mesh, weights).mean()
        return {
            "flow": errors[-1],
            "coarse_flow": torch.stack(errors[:-1]).mean(),
            "zero_flow": still,
            "roughness": roughness(flows[-1]),
        }


def repeat_flow(identity: IdentityCode, times: int, *, pose_free: bool = False) -> IdentityCode:
    """Repeats each clip's identity code for its targets.

    The identity frame's own content and pose code are detached, so that reconstruction does not train their heads; with
    `pose_free` the pose code keeps its gradient.
    """
    features = IdentityFeatures(
        identity.features.vector.repeat_interleave(times, dim=0),
        tuple(x.repeat_interleave(times, dim=0) for x in identity.features.maps),
    )
    pose = identity.own.pose if pose_free else identity.own.pose.detach()
    own = Codes(identity.own.content.detach(), pose)
    return IdentityCode(features, Codes(*(code.repeat_interleave(times, dim=0) for code in own)))


def repeat_paper(identity: PaperIdentity, times: int) -> PaperIdentity:
    """Repeats each clip's identity code for its targets."""
    return PaperIdentity(*(part.repeat_interleave(times, dim=0) for part in identity))


class MouthAreas(NamedTuple):
    """Masks of the targets' mouths; pixel counts and the mean weight are averaged over all processes.

    Several processes then train as one with the joined batch would.
    """

    inside: Float[Tensor, "targets 1 side side"]
    """1 between the lips, else 0."""
    mouth: Float[Tensor, "targets 1 side side"]
    """1 on the mouth and the skin around it, else 0."""
    weight: Float[Tensor, "targets 1 side side"]
    """Weights of the pixels: `MOUTH_PIXEL_WEIGHT` times as much on the mouth as elsewhere, 1 on average; times
    `trust`."""
    trust: Float[Tensor, "targets 1 side side"]
    """`pixel_trust` of the targets."""
    inside_px: Float[Tensor, ""]
    """Number of pixels of `inside`, averaged over the processes."""
    mouth_px: Float[Tensor, ""]
    """Number of pixels of `mouth`, averaged over the processes."""


def mouth_areas(batch: Batch, world: World = SINGLE_PROCESS) -> MouthAreas:
    """Draws the masks of a batch's targets."""
    inside, mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])
    weight = 1 + (MOUTH_PIXEL_WEIGHT - 1) * mouth
    sizes = (world.mean(area.sum()) for area in (inside, mouth))
    trust = pixel_trust(batch)
    return MouthAreas(inside, mouth, weight / world.mean(weight.mean()) * trust, trust, *sizes)


def pixel_trust(batch: Batch) -> Float[Tensor, "targets 1 side side"]:
    """Returns how much each pixel of the targets counts: 1 as photographed, `INVENTED_WEIGHT` where invented."""
    size = batch.target.shape[-2:]
    fine = functional.interpolate(batch.confidence, size, mode="bilinear", align_corners=False)
    return 1 - (1 - INVENTED_WEIGHT) * (1 - fine)


def picture_terms(pictures: Tensor, batch: Batch, areas: MouthAreas) -> Terms:
    """Compares generated with real targets.

    - `pixels`: mean absolute difference, weighted at the mouth.
    - `edges`: mean absolute difference of the differences between neighbouring pixels. Invented pixels count less in
      both.
    - `mouth_pixels`: mean absolute difference on the mouth; `zero_mouth_pixels`: that of the identity frame. Recorded.
    """
    still = batch.identity.repeat_interleave(len(batch.target) // len(batch.identity), dim=0)
    return {
        "pixels": ((pictures - batch.target).abs() * areas.weight).mean(),
        "edges": edge_distance(pictures, batch.target, areas.trust),
        "mouth_pixels": ((pictures - batch.target).abs() * areas.mouth).sum() / (3 * areas.mouth_px),
        "zero_mouth_pixels": ((still - batch.target).abs() * areas.mouth).sum() / (3 * areas.mouth_px),
    }


def mask_terms(fields: Fields, batch: Batch, areas: MouthAreas, price: float) -> Terms:
    """Computes the terms of mask and colours.

    - `colours`: mean absolute difference of the colours alone from the target, weighted at the mouth.
    - `mask_outside`: share of the colours outside the lips, times `price`.
    - `mask_inside`: minus the logarithm of the share of the colours between the lips, where there is nothing to warp. A
      mask saturated near 1 has no gradient but this one.
    - `colours_inside`: share of the colours between the lips. Recorded.
    """
    inside, inside_px = areas.inside, areas.inside_px.clamp(min=1)
    return {
        "colours": ((fields.colours - batch.target).abs() * areas.weight).mean(),
        "mask_outside": ((1 - fields.mask) * (1 - inside)).mean() * price,
        "mask_inside": -((1 - fields.mask).clamp(min=MIN_COLOUR_SHARE).log() * inside).sum() / inside_px,
        "colours_inside": ((1 - fields.mask) * inside).sum() / inside_px,
    }


def mouth_masks(
    mesh: Float[Tensor, "batch 478 2"], side: int
) -> tuple[Float[Tensor, "batch 1 side side"], Float[Tensor, "batch 1 side side"]]:
    """Draws two masks of each face from landmarks in [-1, 1]: between the lips, and the mouth with skin around it."""
    points = ((mesh.cpu().numpy() + 1) * side / 2 - 0.5).round().astype(np.int32)
    inside = np.zeros((len(points), 1, side, side), np.float32)
    mouth = np.zeros_like(inside)
    kernel = np.ones((2 * int(side * MOUTH_MARGIN) + 1,) * 2, np.uint8)
    for index, face in enumerate(points):
        cv2.fillPoly(inside[index, 0], [face[list(INNER_LIPS)]], (1.0,))
        cv2.fillPoly(mouth[index, 0], [face[list(OUTER_LIPS)]], (1.0,))
        mouth[index, 0] = cv2.dilate(mouth[index, 0], kernel)
    return torch.from_numpy(inside).to(mesh.device), torch.from_numpy(mouth).to(mesh.device)
