"""What a checkpoint is worth, in a few numbers and one picture, on clips that training does not see."""

from pathlib import Path

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
from pcavs.train.losses import landmark_flow, retrieval, retrieval_within
from pcavs.train.rebuild import Rebuilder, mouth_masks
from pcavs.train.stage import AnyTalker, step_rng

SCORES = {
    "identity": ("recognised", 1),
    "visual": ("mouth_seen", -1),
    "sync": ("found_within", 1),
    "generator": ("mouth_heard", -1),
}
"""By which score a stage's best weights are kept, and its sign for more is better."""

MOMENTS = 8
CLIPS = 8


class Look:
    """A fixed draw of held-out clips, as a talker makes them."""

    def __init__(self, talker: AnyTalker, rebuilder: Rebuilder, library: Corpus, draw: int = 0) -> None:
        """Draws and encodes; another `draw` gives other clips."""
        device = next(talker.parameters()).device
        batch = library.batch(step_rng(20_210_412, draw), CLIPS, MOMENTS, heard_only=True)
        self.batch = Batch(*(tensor.to(device) for tensor in batch))
        self.picture = self.batch.identity.repeat_interleave(MOMENTS, dim=0)
        self.heard = talker.encode_speech(self.batch.mel)
        self.seen: Codes = talker.motion(self.batch.target)
        self._rebuilder = rebuilder

    def shifted(self, codes: Tensor) -> Tensor:
        """Gives each frame the code of another moment of the same clip."""
        return codes.unflatten(0, (-1, MOMENTS)).roll(MOMENTS // 2, dims=1).flatten(0, 1)

    def make(self, content: Tensor, pose: Tensor) -> tuple[Tensor, Fields | None]:
        """Gives pictures, and the fields behind them where there are any."""
        return self._rebuilder.show(self.picture, Codes(content, pose))


@torch.no_grad()
def validate(talker: AnyTalker, rebuilder: Rebuilder, library: Corpus, draw: int = 0) -> dict[str, float]:
    """Scores a fixed draw of held-out clips.

    `mouth_*` are mean absolute differences in the mouth area, as shares of the identity picture's; of a `flow`
    talker, `lips_*` are landmark errors of the flow at the lips, as shares of zero flow's. `shifted` is the speech of
    another moment of the same clip: where it is no worse than the right one, the mouth does not listen. `found_within`
    is how often the right speech is found among the eight moments of a clip, `found_of_32` among four of each clip.
    """
    look = Look(talker, rebuilder, library, draw)
    batch = look.batch
    origin = batch.identity_mesh.repeat_interleave(MOMENTS, dim=0)
    face = torch.ones(origin.shape[1], device=origin.device)
    lips = torch.zeros_like(face)
    lips[list(LIPS)] = 1
    mouth = mouth_masks(batch.target_mesh, batch.target.shape[-1])[1]

    def landmarks(flow: Tensor, weights: Tensor) -> float:
        return float(landmark_flow(flow, origin, batch.target_mesh, weights).mean())

    def pixels(made: Tensor) -> float:
        return float(((made - batch.target).abs() * mouth).sum() / (3 * mouth.sum()))

    still = torch.zeros(len(origin), 2, 8, 8, device=origin.device)
    contents = {"heard": look.heard, "shifted": look.shifted(look.heard), "seen": look.seen.content}
    scores: dict[str, float] = {}
    for name, content in contents.items():
        made, fields = look.make(content, look.seen.pose)
        scores[f"mouth_{name}"] = pixels(made) / pixels(look.picture)
        if fields:
            scores[f"lips_{name}"] = landmarks(fields.flow, lips) / landmarks(still, lips)
            scores[f"face_{name}"] = landmarks(fields.flow, face) / landmarks(still, face)
    scores |= recognition(talker, batch)
    one = torch.tensor(1.0)
    scores["found_within"] = float(retrieval_within(look.seen.content, look.heard, MOMENTS, one)[1])
    halves = ((look.seen.content[start::2], look.heard[start::2]) for start in (0, 1))
    scores["found_of_32"] = sum(float(retrieval(seen, heard, one)[1]) for seen, heard in halves) / 2
    if look.seen.pose.shape == batch.pose.shape:
        scores["pose"] = float((look.seen.pose - batch.pose).abs().mean())
    return {name: round(value, 4) for name, value in scores.items()}


def recognition(talker: AnyTalker, batch: Batch) -> dict[str, float]:
    """Share of targets whose nearest identity frame shows the same speaker, and what guessing would give."""
    wanted = functional.normalize(identity_vectors(talker, batch.target).float(), dim=1)
    known = functional.normalize(identity_vectors(talker, batch.identity).float(), dim=1)
    speakers = batch.speaker.repeat_interleave(len(batch.target) // len(batch.identity))
    same = speakers[:, None] == batch.speaker[None]
    nearest = (wanted @ known.T).argmax(dim=1)
    found = same.gather(1, nearest[:, None]).float().mean()
    return {"recognised": float(found), "recognised_by_chance": float(same.float().mean())}


@torch.no_grad()
def preview(talker: AnyTalker, rebuilder: Rebuilder, library: Corpus, path: Path) -> None:
    """Pictures a fixed draw, a row each.

    Identity, target, driven by speech, by another clip's speech, under another clip's pose; of a `flow` talker also
    moved without colours, the colours, and the mask.
    """
    look = Look(talker, rebuilder, library)
    keep = slice(0, None, MOMENTS // 2)
    made, fields = look.make(look.heard, look.seen.pose)
    other_speech = look.make(look.heard.roll(MOMENTS // 2, dims=0), look.seen.pose)[0]
    other_pose = look.make(look.heard, look.seen.pose.roll(MOMENTS, dims=0))[0]
    rows = [look.picture, look.batch.target, made, other_speech, other_pose]
    if fields:
        moved = compose(look.picture, fields._replace(mask=torch.ones_like(fields.mask)))
        rows += [moved, fields.colours, (fields.mask * 2 - 1).expand(-1, 3, -1, -1)]
    sheet = torch.cat([torch.cat(list(row[keep]), dim=2) for row in rows], dim=1)
    pixels = ((sheet.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :, ::-1]))
