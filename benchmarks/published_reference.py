"""Computes frames in the way of the published code: the reference that `measure_paper.py` compares with.

This is the project's own code, written from the paper and from a description of the published inference. It keeps on
purpose what makes the published inference slow: kernels are modulated and demodulated for each sample and convolved as
one group per sample; the filter after each upsampling runs over channels as a batch; zeros are inserted before the skip
image is filtered; noise is drawn in every call; the generator and the motion encoder run twice for each frame; the
identity encoder runs for every frame.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ACTIVATION_GAIN
from pcavs.models.motion import Codes
from pcavs.models.paper import PaperModel
from pcavs.models.resnet import PaperIdentity
from pcavs.models.stylegan2 import BLUR_TAPS, StyledConv, StyleGenerator, ToRgb

LEAK: Final = 0.2
"""Slope of the leaky ReLU below 0, as published."""
EPSILON: Final = 1e-8
"""Keeps the demodulation from dividing by zero, as published."""


class PublishedGenerator(nn.Module):
    """Synthesis network of StyleGAN2 with modulated kernels for each sample; shares the weights of `ours`."""

    def __init__(self, ours: StyleGenerator, *, fresh_noise: bool = True) -> None:
        """Wraps a generator.

        Args:
            ours: Whose weights are used.
            fresh_noise: Draws noise in every call; otherwise the stored noise is used and results equal ours.
        """
        super().__init__()
        self.ours = ours
        self.fresh_noise = fresh_noise
        line = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS) * 2
        self.register_buffer("taps", torch.outer(line, line))

    def forward(self, seed: Tensor, style: Tensor) -> Tensor:
        """Returns the image before its `tanh`, (B, 3, side, side)."""
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
        kernels = kernels * torch.rsqrt(kernels.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        batch, width, before, size, _ = kernels.shape
        grouped = x.reshape(1, batch * before, *x.shape[2:])
        if conv.blur is None:
            output = functional.conv2d(grouped, kernels.flatten(0, 1), padding=1, groups=batch)
        else:
            kernels = kernels.transpose(1, 2).reshape(batch * before, width, size, size)
            output = functional.conv_transpose2d(grouped, kernels, stride=2, groups=batch)
            output = self._filtered(functional.pad(output, (1, 1, 1, 1)))
        x = output.reshape(batch, width, *output.shape[2:])
        noise = torch.randn(batch, 1, *x.shape[2:]) if self.fresh_noise else conv.noise
        x = x + conv.noise_strength * noise
        return functional.leaky_relu(x + conv.bias[:, None, None], LEAK) * ACTIVATION_GAIN

    def _colours(self, colours: ToRgb, x: Tensor, style: Tensor) -> Tensor:
        kernels = colours.weight * colours.scale * colours.affine(style)[:, None, :, None, None]
        output = functional.conv2d(x.reshape(1, -1, *x.shape[2:]), kernels.flatten(0, 1), groups=x.shape[0])
        return output.reshape(x.shape[0], 3, *x.shape[2:]) + colours.bias[:, None, None]

    def _filtered(self, x: Tensor) -> Tensor:
        taps = self.get_buffer("taps")[None, None]
        output = functional.conv2d(x.reshape(-1, 1, *x.shape[2:]), taps)
        return output.reshape(*x.shape[:2], *output.shape[2:])


class PublishedPath:
    """Everything that the published inference computes for a batch of frames."""

    def __init__(self, talker: PaperModel) -> None:
        """Uses the weights of a talker."""
        self._talker = talker.eval()
        self._generator = PublishedGenerator(talker.generator.synthesis)

    @torch.inference_mode()
    def frames(self, identity: Tensor, pose_frames: Tensor, windows: Tensor) -> Tensor:
        """Returns faces, (B, 3, side, side) RGB in [-1, 1].

        Args:
            identity: Identity pictures, (B, 3, side, side) in [-1, 1].
            pose_frames: Frames of the pose source, of the same shape.
            windows: Mel windows, (B, 1, 80, 20).
        """
        talker = self._talker
        identity_code = talker.encode_identity(identity)
        content = talker.encode_speech(windows) * talker.speech_gain
        faces = []
        for _ in range(2):  # the published code renders a second picture in every frame and drops it
            pose = talker.encode_pose(pose_frames)
            faces.append(self._face(identity_code, Codes(content, pose)))
        return faces[0]

    def _face(self, identity: PaperIdentity, codes: Codes) -> Tensor:
        return torch.tanh(self._generator(identity.seed, self._talker.generator.style(identity, codes)))
