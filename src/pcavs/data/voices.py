"""Augmentation of the speech encoder's input: who speaks, into what and through what changes, what is said stays."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pcavs.media.mel import mel_centres
from pcavs.spec import MelSpec, exact_div

LONGEST_STRETCH: Final = 0.2
"""Of the frequencies, as a natural logarithm: the vocal tracts of tall men and of children lie this far apart."""
LOUDNESS: Final = 0.06
"""Change of level, in units of the mel spectrogram: 100 dB are 1."""
COLOURING: Final = 0.03
"""Size of each of four slow waves over frequency: microphones, rooms, telephones."""
NOISY_SHARE: Final = 0.5
QUIETEST_NOISE, LOUDEST_NOISE = 0.2, 0.5
NOISE_TILT: Final = 0.1
NOISE_GRAIN: Final = 0.03
ROOM_SHARE: Final = 0.5
LEAST_FALL, LARGEST_FALL = 0.6 / 100, 0.6 / 25
"""By how much a room's sound falls in a bin of 10 ms: by 60 dB in 0.25 to 1 s."""
LEAST_BELOW, LARGEST_BELOW = 0.06, 0.2
"""How far below the direct sound it begins: 6 to 20 dB."""
MASKED_SHARE: Final = 0.5
NARROWEST_MASK, WIDEST_MASK = 4, 14
"""Bands that are taken away, next to each other."""
DULL_SHARE: Final = 0.3
"""Of all clips, before the share that is masked at all: those that lose their highest bands, as through a telephone."""

VoiceChange: TypeAlias = Callable[[Tensor, int, torch.Generator], Tensor]
"""From mel windows, ordered clip by clip, and the number of each clip's windows; the generator is the only chance."""


def change_voice(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Gives each clip another voice, microphone and background, the same in all of its windows; [0, 1] in and out.

    Frequencies are stretched by up to a fifth, the level changes by 6 dB, and a slow curve over frequency is laid on.
    Half of the clips get steady noise, half sound in rooms, half lose some of their bands. What is silent stays silent
    but for the noise.

    Args:
        mel: Mel windows, ordered clip by clip.
        moments: Windows of each clip.
        generator: The source of randomness.

    Reference: Jaitly and Hinton, 2013, Vocal tract length perturbation, here on mel bands instead of a spectrum; Park
    and others, 2019, SpecAugment, section 2, frequency masking.
    """
    clips, bands = exact_div(len(mel), moments), mel.shape[2]

    def draw(*shape: int) -> Tensor:
        return torch.rand((clips, *shape), generator=generator) * 2 - 1

    stretched = _stretched(mel, torch.exp(draw() * LONGEST_STRETCH), moments)
    slow = torch.cos(torch.arange(1, 5)[:, None] * torch.pi * (torch.arange(bands) + 0.5) / bands)
    colouring = draw(1) * LOUDNESS + torch.randn((clips, 4), generator=generator) @ slow * COLOURING
    coloured = torch.where(stretched > 0, stretched + _each(colouring, moments), stretched)
    middle = (QUIETEST_NOISE + LOUDEST_NOISE) / 2
    level = middle + draw(1) * (LOUDEST_NOISE - middle) + draw(1) * NOISE_TILT * torch.linspace(-1, 1, bands)
    grain = torch.randn(mel.shape, generator=generator) * NOISE_GRAIN
    noisy = torch.rand((clips, 1), generator=generator) < NOISY_SHARE
    joined = _louder_than_both(coloured, _each(level, moments) + grain)
    noised = torch.where(_each(noisy, moments), joined, coloured).clamp(0, 1)
    return masked(in_rooms(noised, moments, generator), moments, generator)


def in_rooms(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Lets half of the clips ring on, as rooms do; what was before a window is not known, and does not ring.

    Args:
        mel: Mel windows, ordered clip by clip, in [0, 1].
        moments: Windows of each clip.
        generator: The source of randomness.
    """
    clips = exact_div(len(mel), moments)

    def draw() -> Tensor:
        return torch.rand((clips, 1), generator=generator)

    fall = 0.6 / (draw() * (0.6 / LEAST_FALL - 0.6 / LARGEST_FALL) + 0.6 / LARGEST_FALL)
    below = draw() * (LARGEST_BELOW - LEAST_BELOW) + LEAST_BELOW
    fall, below = (_each(values, moments)[..., 0] for values in (fall, below))
    ringing = torch.zeros_like(mel[..., 0])
    columns = []
    for direct in mel.unbind(-1):
        columns.append(_louder_than_both(direct, ringing - below))
        ringing = torch.maximum(direct, ringing - fall)
    echoed = torch.where(mel > 0, torch.stack(columns, dim=-1), mel)
    return torch.where(_each(draw() < ROOM_SHARE, moments), echoed, mel).clamp(0, 1)


def masked(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Takes some of the frequencies away from half of the clips: they are silent there, in all windows of a clip.

    Args:
        mel: Mel windows, ordered clip by clip, in [0, 1].
        moments: Windows of each clip.
        generator: The source of randomness.
    """
    clips, bands = exact_div(len(mel), moments), mel.shape[2]
    width = torch.randint(NARROWEST_MASK, WIDEST_MASK + 1, (clips, 1), generator=generator)
    first = (torch.rand((clips, 1), generator=generator) * (bands - width)).long()
    places = torch.arange(bands)
    gone = (places >= first) & (places < first + width)
    top = torch.randint(bands * 5 // 8, bands, (clips, 1), generator=generator)
    gone |= (places >= top) & (torch.rand((clips, 1), generator=generator) < DULL_SHARE)
    gone &= torch.rand((clips, 1), generator=generator) < MASKED_SHARE
    return torch.where(_each(gone, moments), 0.0, mel)


def _each(values: Tensor, moments: int) -> Tensor:
    """Lays values of clips and bands over the windows of each clip."""
    return values.repeat_interleave(moments, dim=0)[:, None, :, None]


def _louder_than_both(one: Tensor, other: Tensor) -> Tensor:
    """Adds the powers of two levels."""
    return torch.log10(10.0 ** (10 * one) + 10.0 ** (10 * other)) / 10


def _stretched(mel: Tensor, factors: Float[Tensor, " clips"], moments: int) -> Tensor:
    """Reads each band where its frequency, times a factor, lies; beyond the last band the last is continued."""
    centres = mel_centres(MelSpec(mel_channels=mel.shape[2]))
    wanted = np.interp(centres * factors.numpy()[:, None], centres, np.arange(len(centres)))
    places = torch.from_numpy(wanted.astype(np.float32)).repeat_interleave(moments, dim=0)
    below = places.floor().long().clamp(max=len(centres) - 2)
    part = (places - below)[:, None, :, None]
    columns = below[:, None, :, None].expand_as(mel)
    return mel.gather(2, columns) * (1 - part) + mel.gather(2, columns + 1) * part


def _keep(mel: Tensor, moments: int, generator: torch.Generator) -> Tensor:
    return mel


VOICES: Final[dict[str, VoiceChange]] = {"kept": _keep, "changed": change_voice}
"""By the name that a recipe gives them."""
