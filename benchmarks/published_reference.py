"""The per-frame path of the published code, as it computes: what `measure_paper.py` is measured against.

Own code, written from the paper and from a description of the published inference. What makes it slow is kept on
purpose: kernels modulated and demodulated for each sample and convolved with one group a sample, the filter after
each doubling run over channels as a batch, zeros inserted before the skip picture is filtered, fresh noise in every
call, the generator and the motion encoder run twice a frame, and the identity encoder run for every frame.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ACTIVATION_GAIN
from pcavs.models.motion import Codes
from pcavs.models.paper import PaperModel
from pcavs.models.resnet import PaperIdentity
from pcavs.models.stylegan2 import BLUR_TAPS, StyledConv, StyleGenerator, ToRgb

LEAK = 0.2


class PublishedGenerator(nn.Module):
    """StyleGAN2's synthesis with one set of kernels a sample; shares the weights of ours."""

    def __init__(self, ours: StyleGenerator, *, fresh_noise: bool = True) -> None:
        """Without `fresh_noise` the stored noise is used, which makes it comparable with ours."""
        super().__init__()
        self.ours = ours
        self.fresh_noise = fresh_noise
        line = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS) * 2
        self.register_buffer("taps", torch.outer(line, line))

    def forward(self, seed: Tensor, style: Tensor) -> Tensor:
        """Gives the picture before its `tanh`."""
        x = self._styled(self.ours.first, seed, style)
        picture = self._colours(self.ours.first_colours, x, style)
        levels: list[Any] = list(self.ours.levels)
        for level in levels:
            x = self._styled(level.conv, self._styled(level.up, x, style), style)
            zeros = functional.pad(picture[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
            doubled = zeros.flatten(4, 5).flatten(2, 3)
            picture = self._filtered(functional.pad(doubled, (2, 1, 2, 1))) + self._colours(level.colours, x, style)
        return picture

    def _styled(self, conv: StyledConv, x: Tensor, style: Tensor) -> Tensor:
        kernels = conv.weight * conv.scale * conv.affine(style)[:, None, :, None, None]
        kernels = kernels * torch.rsqrt(kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        batch, width, before, size, _ = kernels.shape
        grouped = x.reshape(1, batch * before, *x.shape[2:])
        if conv.blur is None:
            made = functional.conv2d(grouped, kernels.flatten(0, 1), padding=1, groups=batch)
        else:
            kernels = kernels.transpose(1, 2).reshape(batch * before, width, size, size)
            made = functional.conv_transpose2d(grouped, kernels, stride=2, groups=batch)
            made = self._filtered(functional.pad(made, (1, 1, 1, 1)))
        x = made.reshape(batch, width, *made.shape[2:])
        noise = torch.randn(batch, 1, *x.shape[2:]) if self.fresh_noise else conv.noise
        x = x + conv.noise_strength * noise
        return functional.leaky_relu(x + conv.bias[:, None, None], LEAK) * ACTIVATION_GAIN

    def _colours(self, colours: ToRgb, x: Tensor, style: Tensor) -> Tensor:
        kernels = colours.weight * colours.scale * colours.affine(style)[:, None, :, None, None]
        made = functional.conv2d(x.reshape(1, -1, *x.shape[2:]), kernels.flatten(0, 1), groups=x.shape[0])
        return made.reshape(x.shape[0], 3, *x.shape[2:]) + colours.bias[:, None, None]

    def _filtered(self, x: Tensor) -> Tensor:
        taps = self.get_buffer("taps")[None, None]
        made = functional.conv2d(x.reshape(-1, 1, *x.shape[2:]), taps)
        return made.reshape(*x.shape[:2], *made.shape[2:])


class PublishedPath:
    """What the published inference does for each batch of frames."""

    def __init__(self, talker: PaperModel) -> None:
        """Shares the talker's weights."""
        self._talker = talker.eval()
        self._generator = PublishedGenerator(talker.generator.synthesis)

    @torch.inference_mode()
    def frames(self, identity: Tensor, pose_frames: Tensor, windows: Tensor) -> Tensor:
        """Gives faces, RGB in [-1, 1]; takes as many identity pictures and pose frames as mel windows."""
        talker = self._talker
        who = talker.encode_identity(identity)
        heard = talker.encode_speech(windows) * talker.speech_gain
        faces = []
        for _ in range(2):  # once for the picture with the driven pose, once for one that is thrown away
            pose = talker.encode_pose(pose_frames)
            faces.append(self._face(who, Codes(heard, pose)))
        return faces[0]

    def _face(self, who: PaperIdentity, codes: Codes) -> Tensor:
        return torch.tanh(self._generator(who.seed, self._talker.generator.style(who, codes)))
