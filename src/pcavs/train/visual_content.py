"""Visual content of whole clips, for a stage whose motion encoder does not change."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.data.corpus import Corpus, pictures

_FACES_AT_ONCE: Final = 32
"""Faces that the motion encoder reads at once; bounds its memory."""


class VisualContents:
    """Reads a clip's faces when its content is first asked for, and keeps the result, 1 kB a frame."""

    def __init__(self, motion: nn.Module, corpus: Corpus) -> None:
        """Keeps both; `motion` must not be trained while this is in use."""
        self._motion, self._corpus = motion, corpus
        self._known: dict[int, Float[Tensor, "time content"]] = {}

    def of(self, clip: int) -> Float[Tensor, "time content"]:
        """Returns the visual content of all frames of a clip that has faces, as float32 in main memory."""
        if clip not in self._known:
            self._known[clip] = self._read(clip)
        return self._known[clip]

    @torch.no_grad()
    def _read(self, clip: int) -> Float[Tensor, "time content"]:
        faces = pictures([self._corpus.open_clip(clip).faces(range(self._corpus.entries[clip].frames))])
        device = next(iter(self._motion.state_dict().values())).device
        was_training = self._motion.training
        self._motion.eval()
        with torch.autocast(device.type, enabled=False):
            content = torch.cat([self._motion(some.to(device)).content for some in faces.split(_FACES_AT_ONCE)])
        self._motion.train(was_training)
        return content.float().cpu()
