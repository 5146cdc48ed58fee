"""What a checkpoint is worth, in a few numbers and one picture, on clips that training does not see."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pcavs.data.library import Batch, Library
from pcavs.face.regions import LIPS
from pcavs.models.generator import Codes, Fields, compose
from pcavs.models.talker import Talker
from pcavs.train.losses import landmark_flow, retrieval_within
from pcavs.train.rebuild import mouth_masks, repeat
from pcavs.train.stage import step_rng

MOMENTS = 8
CLIPS = 8


@torch.no_grad()
def validate(talker: Talker, library: Library) -> dict[str, float]:
    """Scores a fixed draw of held-out clips.

    The `lips_*` scores are landmark errors of the flow at the lips, as shares of zero flow's; `mouth_*` are mean
    absolute differences in the mouth area, as shares of the identity picture's. `shifted` is the speech of another
    moment of the same clip: where it is no worse than the right one, the mouth does not listen.
    """
    batch = _draw(talker, library)
    identity = repeat(talker.encode_identity(batch.identity), MOMENTS)
    heard, seen = talker.encode_speech(batch.mel), talker.motion(batch.target)
    shifted = heard.unflatten(0, (-1, MOMENTS)).roll(MOMENTS // 2, dims=1).flatten(0, 1)
    origin = batch.identity_mesh.repeat_interleave(MOMENTS, dim=0)
    picture = batch.identity.repeat_interleave(MOMENTS, dim=0)
    lips = torch.zeros(origin.shape[1], device=origin.device)
    lips[list(LIPS)] = 1
    face = torch.ones_like(lips)
    mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])[1]

    def score(fields: Fields | None, weights: Tensor) -> float:
        flow = fields.flow if fields else torch.zeros(len(origin), 2, 8, 8, device=origin.device)
        return float(landmark_flow(flow, origin, batch.target_mesh, weights).mean())

    def pixels(made: Tensor) -> float:
        return float(((made - batch.target).abs() * mouth).sum() / (3 * mouth.sum()))

    zero_lips, zero_face, zero_mouth = score(None, lips), score(None, face), pixels(picture)
    driven = {
        name: talker.render(identity, Codes(content, seen.pose))
        for name, content in (("heard", heard), ("shifted", shifted), ("seen", seen.content))
    }
    scores = {f"lips_{name}": score(fields, lips) / zero_lips for name, fields in driven.items()}
    scores |= {f"mouth_{name}": pixels(compose(picture, fields)) / zero_mouth for name, fields in driven.items()}
    scores["face_heard"] = score(driven["heard"], face) / zero_face
    scores["found_within"] = float(retrieval_within(seen.content, heard, MOMENTS, torch.tensor(1.0))[1])
    scores["pose"] = float((seen.pose - batch.pose).abs().mean())
    return {name: round(value, 4) for name, value in scores.items()}


@torch.no_grad()
def preview(talker: Talker, library: Library, path: Path) -> None:
    """Pictures a fixed draw: a row each of identity, target, moved by speech, by other speech, flow alone, mask."""
    batch = _draw(talker, library)
    keep = slice(0, None, MOMENTS // 2)
    identity = repeat(talker.encode_identity(batch.identity), MOMENTS)
    picture = batch.identity.repeat_interleave(MOMENTS, dim=0)
    heard, pose = talker.encode_speech(batch.mel), talker.encode_pose(batch.target)
    fields = talker.render(identity, Codes(heard, pose))
    other = talker.render(identity, Codes(heard.roll(MOMENTS // 2, dims=0), pose))
    moved = compose(picture, fields._replace(mask=torch.ones_like(fields.mask)))
    mask = (fields.mask * 2 - 1).expand(-1, 3, -1, -1)
    rows = [picture, batch.target, compose(picture, fields), compose(picture, other), moved, fields.colours, mask]
    sheet = torch.cat([torch.cat(list(row[keep]), dim=2) for row in rows], dim=1)
    pixels = ((sheet.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :, ::-1]))


def _draw(talker: Talker, library: Library) -> Batch:
    device = next(talker.parameters()).device
    batch = library.batch(step_rng(20_210_412, 0), CLIPS, MOMENTS, heard_only=True)
    return Batch(*(tensor.to(device) for tensor in batch))
