"""Validation of a talker on held-out clips: scores, and a preview picture."""

from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pcavs.data.corpus import Batch, Corpus
from pcavs.face.regions import LIPS
from pcavs.models.generator import Fields, compose
from pcavs.models.motion import Codes
from pcavs.train.identity import identity_vectors
from pcavs.train.losses import contrast_across, contrast_within, landmark_flow
from pcavs.train.options import TrainOptions
from pcavs.train.reconstruction import Reconstruction, mouth_masks
from pcavs.train.stage import Model, step_rng

SCORES: Final = {
    "identity": ("recognised", 1),
    "visual": ("mouth_seen", -1),
    "speech": ("opening_heard", 1),
    "sync": ("found_within", 1),
    "generator": ("mouth_heard", -1),
}
"""For each stage the score by which its best weights are kept; the sign is 1 where more is better."""

ACROSS: Final = ("found_of_32", 1)
"""That of stage `sync` with the published contrast, which has no negatives within a clip."""

VALIDATION_SEED: Final = 20_210_412
"""Seed of the clips that are drawn; the same for all runs, so that their scores compare."""

NUM_MOMENTS: Final = 8
NUM_CLIPS: Final = 8
"""Size of the draw: 64 frames, a second or two of one core. `found_of_32` is named after it."""


class Shown(NamedTuple):
    """What can be validated: scores and pictures of networks that no stage has trained yet would say nothing."""

    untrained: frozenset[str] = frozenset()
    """Networks that are not trained (`lineage.untrained_networks`)."""

    @property
    def generator(self) -> bool:
        """Whether pictures are made: generator, motion and identity encoder are trained."""
        return not self.untrained & {"generator", "motion", "identity"}

    @property
    def speech(self) -> bool:
        """Whether speech drives pictures and is compared with visual content."""
        return not self.untrained & {"speech", "motion"}


ALL: Final = Shown()
"""All networks are trained."""


def score_of(options: TrainOptions) -> tuple[str, int]:
    """Returns the name and the sign of the score by which a run's best weights are kept; its stage trains it."""
    return ACROSS if (options.stage, options.losses) == ("sync", "published") else SCORES[options.stage]


class ValidationBatch:
    """A fixed draw of held-out clips with speech, and its codes."""

    def __init__(self, model: Model, reconstruction: Reconstruction, corpus: Corpus, draw: int = 0) -> None:
        """Draws the clips and encodes them; another `draw` gives other clips."""
        device = next(model.parameters()).device
        batch = corpus.batch(step_rng(VALIDATION_SEED, draw), NUM_CLIPS, NUM_MOMENTS, heard_only=True)
        self.batch = Batch(*(tensor.to(device) for tensor in batch))
        self.identity = self.batch.identity.repeat_interleave(NUM_MOMENTS, dim=0)
        self.speech = model.encode_speech(self.batch.speech)
        self.visual: Codes = model.motion(self.batch.target)
        self._reconstruction = reconstruction

    def shifted(self, codes: Tensor) -> Tensor:
        """Exchanges codes: each frame gets the code of another moment of its clip."""
        return codes.unflatten(0, (-1, NUM_MOMENTS)).roll(NUM_MOMENTS // 2, dims=1).flatten(0, 1)

    def render(self, content: Tensor, pose: Tensor) -> tuple[Tensor, Fields | None]:
        """Generates the targets from codes; returns the fields too, where there are any."""
        return self._reconstruction.render(self.identity, Codes(content, pose))


@torch.no_grad()
def validate(
    model: Model, reconstruction: Reconstruction, corpus: Corpus, draw: int = 0, shown: Shown = ALL
) -> dict[str, float]:
    """Computes scores on a fixed draw of held-out clips with speech, of the networks that are trained.

    - `mouth_*`: mean absolute difference in the mouth's area, as a share of the identity frame's.
    - `lips_*`, `face_*`, of `flow` talkers: landmark error of the displacement field, as a share of that of zero flow.
    - `*_heard`, `*_shifted`, `*_seen`: driven by the frame's speech, by the speech of another moment of the clip, and
      by the frame's visual content. Where `shifted` is as low as `heard`, the mouth does not follow the speech.
    - `found_within`, `found_of_32`: share of frames whose speech is found among the 8 moments of their clip, and among
      4 moments of each of 8 clips. Chance is 0.125 and 0.031.
    - `recognised`, `recognised_by_chance`: see `recognition`.
    - `pose`: mean absolute error of the pose code, where it has twelve numbers.
    """
    held_out = ValidationBatch(model, reconstruction, corpus, draw)
    batch, speech, visual = held_out.batch, held_out.speech, held_out.visual
    scores: dict[str, float] = {}
    if shown.generator:
        heard = {"heard": speech, "shifted": held_out.shifted(speech)} if shown.speech else {}
        scores |= _picture_scores(held_out, heard | {"seen": visual.content})
    if "identity" not in shown.untrained:
        scores |= recognition(model, batch)
    if shown.speech:
        one = torch.tensor(1.0)
        scores["found_within"] = float(contrast_within(visual.content, speech, NUM_MOMENTS, one)[1])
        halves = ((visual.content[start::2], speech[start::2]) for start in (0, 1))
        scores["found_of_32"] = sum(float(contrast_across(*half, one)[1]) for half in halves) / 2
    if "motion" not in shown.untrained and visual.pose.shape == batch.pose.shape:
        scores["pose"] = float((visual.pose - batch.pose).abs().mean())
    return {name: round(value, 4) for name, value in scores.items()}


def _picture_scores(held_out: ValidationBatch, contents: dict[str, Tensor]) -> dict[str, float]:
    """Computes the errors of pictures driven by different content, by name."""
    batch = held_out.batch
    origin = batch.identity_mesh.repeat_interleave(NUM_MOMENTS, dim=0)
    face = torch.ones(origin.shape[1], device=origin.device)
    lips = torch.zeros_like(face)
    lips[list(LIPS)] = 1
    mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])[1]

    def landmark_error(flow: Tensor, weights: Tensor) -> float:
        return float(landmark_flow(flow, origin, batch.target_mesh, weights).mean())

    def mouth_error(pictures: Tensor) -> float:
        return float(((pictures - batch.target).abs() * mouth).sum() / (3 * mouth.sum()))

    zero = torch.zeros(len(origin), 2, 8, 8, device=origin.device)
    scores: dict[str, float] = {}
    for name, content in contents.items():
        pictures, fields = held_out.render(content, held_out.visual.pose)
        scores[f"mouth_{name}"] = mouth_error(pictures) / mouth_error(held_out.identity)
        if fields:
            scores[f"lips_{name}"] = landmark_error(fields.flow, lips) / landmark_error(zero, lips)
            scores[f"face_{name}"] = landmark_error(fields.flow, face) / landmark_error(zero, face)
    return scores


def recognition(model: Model, batch: Batch) -> dict[str, float]:
    """Computes the share of targets whose nearest identity frame shows the same speaker, and the chance level."""
    wanted = functional.normalize(identity_vectors(model, batch.target).float(), dim=1)
    known = functional.normalize(identity_vectors(model, batch.identity).float(), dim=1)
    speakers = batch.speaker.repeat_interleave(len(batch.target) // len(batch.identity))
    same = speakers[:, None] == batch.speaker[None]
    nearest = (wanted @ known.T).argmax(dim=1)
    found = same.gather(1, nearest[:, None]).float().mean()
    return {"recognised": float(found), "recognised_by_chance": float(same.float().mean())}


@torch.no_grad()
def write_preview(model: Model, reconstruction: Reconstruction, corpus: Corpus, path: Path, shown: Shown = ALL) -> None:
    """Writes a picture of a fixed draw of held-out clips, two frames of each.

    Rows: identity frame, target, driven by its speech, by another clip's speech, with another clip's pose code; for
    `flow` talkers also the warped identity frame, the colours and the mask. Where the speech encoder is not trained,
    visual content takes the place of speech.
    """
    held_out = ValidationBatch(model, reconstruction, corpus)
    speech, pose = held_out.speech if shown.speech else held_out.visual.content, held_out.visual.pose
    every = slice(0, None, NUM_MOMENTS // 2)
    pictures, fields = held_out.render(speech, pose)
    other_speech = held_out.render(speech.roll(NUM_MOMENTS // 2, dims=0), pose)[0]
    other_pose = held_out.render(speech, pose.roll(NUM_MOMENTS, dims=0))[0]
    rows = [held_out.identity, held_out.batch.target, pictures, other_speech, other_pose]
    if fields:
        warped = compose(held_out.identity, fields._replace(mask=torch.ones_like(fields.mask)))
        rows += [warped, fields.colours, (fields.mask * 2 - 1).expand(-1, 3, -1, -1)]
    sheet = torch.cat([torch.cat(list(row[every]), dim=2) for row in rows], dim=1)
    pixels = ((sheet.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :, ::-1]))
