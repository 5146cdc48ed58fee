"""Audio augmentation: changes the speech encoder's input as another voice, microphone, background and room would.

For sets in which few people speak (docs/decisions/0018). All windows of a clip share one draw, except for the noise's
grain: else the contrast within a clip could be won by telling the draws apart. Works on mel windows in [0, 1], where
100 dB are 1. Amounts below were chosen by hand within the ranges that occur in recordings; what each contributes was
not measured.
"""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pcavs.media.mel import mel_centres
from pcavs.spec import MEL_BINS_PER_SECOND, MelSpec, exact_div

MAX_STRETCH: Final = 0.2
"""Largest stretch of the frequencies, as a natural logarithm: the vocal tracts of tall men and of children differ by
about that much."""
MAX_LEVEL_CHANGE: Final = 0.06
"""Largest change of level: 6 dB."""
NUM_COLOUR_WAVES: Final = 4
"""Cosines over the frequency axis whose sum is the microphone's frequency response, from half a period on."""
COLOUR_DEVIATION: Final = 0.03
"""Standard deviation of each cosine's amplitude: 3 dB."""

NOISE_PROBABILITY: Final = 0.5
"""Share of the clips that get steady noise."""
MIN_NOISE_LEVEL: Final = 0.2
MAX_NOISE_LEVEL: Final = 0.5
"""Range of the noise's mean level; loud speech reaches about 0.8."""
NOISE_TILT: Final = 0.1
"""Largest change of the noise's level from the middle band to the first or last one: 10 dB."""
NOISE_GRAIN: Final = 0.03
"""Standard deviation of the noise's level from bin to bin: 3 dB."""

ROOM_PROBABILITY: Final = 0.5
"""Share of the clips that get reverberation."""
REVERBERATION_DECAY: Final = 0.6
"""Decay that defines the reverberation time: 60 dB."""
MIN_REVERBERATION_S: Final = 0.25
MAX_REVERBERATION_S: Final = 1.0
"""Range of the reverberation time, from a furnished room to a hall."""
_MIN_REVERBERATION_BINS: Final = MIN_REVERBERATION_S * MEL_BINS_PER_SECOND
_MAX_REVERBERATION_BINS: Final = MAX_REVERBERATION_S * MEL_BINS_PER_SECOND
MIN_ROOM_DROP: Final = 0.06
MAX_ROOM_DROP: Final = 0.2
"""Range of the level of the reverberation's start below the direct sound: 6 to 20 dB."""

MASK_PROBABILITY: Final = 0.5
"""Share of the clips that lose bands."""
MIN_MASK_BANDS: Final = 4
MAX_MASK_BANDS: Final = 14
"""Range of the number of neighbouring bands, of 80, that are set to zero."""
LOW_PASS_PROBABILITY: Final = 0.3
"""Of the clips that lose bands, the share that lose all bands above a limit as well, as on a telephone."""
MIN_LOW_PASS_BAND: Final = 5 / 8
"""Lowest limit, as a share of the bands: band 50 of 80, about 2.5 kHz."""


def augment_audio(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Changes the vocal tract, level and frequency response of each clip, and adds noise, a room and missing bands.

    Bins that are exactly 0 (silence) are changed by the noise only. Results are clipped to [0, 1].

    Args:
        mel: Mel windows in [0, 1], ordered clip by clip.
        moments: Number of windows per clip.
        generator: The only source of randomness.

    Reference: Jaitly and Hinton, 2013, Vocal tract length perturbation, here on mel bands instead of a spectrum; Park
    and others, 2019, SpecAugment, section 2, frequency masking.
    """
    clips, bands = exact_div(len(mel), moments), mel.shape[2]

    def draw(*shape: int) -> Tensor:
        return torch.rand((clips, *shape), generator=generator) * 2 - 1

    stretched = _stretch(mel, torch.exp(draw() * MAX_STRETCH), moments)
    waves = torch.arange(1, NUM_COLOUR_WAVES + 1)[:, None]
    response = torch.cos(waves * torch.pi * (torch.arange(bands) + 0.5) / bands)
    level_change = draw(1) * MAX_LEVEL_CHANGE
    amplitudes = torch.randn((clips, NUM_COLOUR_WAVES), generator=generator)
    colouring = level_change + amplitudes @ response * COLOUR_DEVIATION
    coloured = torch.where(stretched > 0, stretched + _per_window(colouring, moments), stretched)
    middle = (MIN_NOISE_LEVEL + MAX_NOISE_LEVEL) / 2
    level = middle + draw(1) * (MAX_NOISE_LEVEL - middle) + draw(1) * NOISE_TILT * torch.linspace(-1, 1, bands)
    grain = torch.randn(mel.shape, generator=generator) * NOISE_GRAIN
    is_noisy = torch.rand((clips, 1), generator=generator) < NOISE_PROBABILITY
    with_noise = _add_levels(coloured, _per_window(level, moments) + grain)
    noisy = torch.where(_per_window(is_noisy, moments), with_noise, coloured).clamp(0, 1)
    return mask_bands(reverberate(noisy, moments, generator), moments, generator)


def reverberate(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Adds an exponential decay to the bands of half of the clips.

    The sound before a window is unknown and adds nothing to it.

    Args:
        mel: Mel windows in [0, 1], ordered clip by clip.
        moments: Number of windows per clip.
        generator: The only source of randomness.
    """
    clips = exact_div(len(mel), moments)

    def draw() -> Tensor:
        return torch.rand((clips, 1), generator=generator)

    bins = draw() * (_MAX_REVERBERATION_BINS - _MIN_REVERBERATION_BINS) + _MIN_REVERBERATION_BINS
    decay = REVERBERATION_DECAY / bins
    drop = draw() * (MAX_ROOM_DROP - MIN_ROOM_DROP) + MIN_ROOM_DROP
    decay, drop = (_per_window(values, moments)[..., 0] for values in (decay, drop))
    tail = torch.zeros_like(mel[..., 0])
    columns = []
    for direct in mel.unbind(-1):
        columns.append(_add_levels(direct, tail - drop))
        tail = torch.maximum(direct, tail - decay)
    reverberant = torch.where(mel > 0, torch.stack(columns, dim=-1), mel)
    return torch.where(_per_window(draw() < ROOM_PROBABILITY, moments), reverberant, mel).clamp(0, 1)


def mask_bands(
    mel: Float[Tensor, "batch 1 80 20"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 1 80 20"]:
    """Sets neighbouring bands of half of the clips to zero, and for some of them all bands above a limit.

    Args:
        mel: Mel windows in [0, 1], ordered clip by clip.
        moments: Number of windows per clip.
        generator: The only source of randomness.
    """
    clips, bands = exact_div(len(mel), moments), mel.shape[2]
    width = torch.randint(MIN_MASK_BANDS, MAX_MASK_BANDS + 1, (clips, 1), generator=generator)
    first = (torch.rand((clips, 1), generator=generator) * (bands - width)).long()
    band = torch.arange(bands)
    removed = (band >= first) & (band < first + width)
    limit = torch.randint(int(bands * MIN_LOW_PASS_BAND), bands, (clips, 1), generator=generator)
    removed |= (band >= limit) & (torch.rand((clips, 1), generator=generator) < LOW_PASS_PROBABILITY)
    removed &= torch.rand((clips, 1), generator=generator) < MASK_PROBABILITY
    return torch.where(_per_window(removed, moments), 0.0, mel)


def _per_window(values: Tensor, moments: int) -> Tensor:
    """Repeats values of shape (clips, bands) for the windows of each clip: (clips * moments, 1, bands, 1)."""
    return values.repeat_interleave(moments, dim=0)[:, None, :, None]


def _add_levels(one: Tensor, other: Tensor) -> Tensor:
    """Adds the powers of two levels in units of 100 dB."""
    return torch.log10(10.0 ** (10 * one) + 10.0 ** (10 * other)) / 10


def _stretch(mel: Tensor, factors: Float[Tensor, " clips"], moments: int) -> Tensor:
    """Resamples the bands: each reads its centre frequency times the factor, linearly; the last band is continued."""
    centres = mel_centres(MelSpec(mel_channels=mel.shape[2]))
    wanted = np.interp(centres * factors.numpy()[:, None], centres, np.arange(len(centres)))
    places = torch.from_numpy(wanted.astype(np.float32)).repeat_interleave(moments, dim=0)
    below = places.floor().long().clamp(max=len(centres) - 2)
    part = (places - below)[:, None, :, None]
    columns = below[:, None, :, None].expand_as(mel)
    return mel.gather(2, columns) * (1 - part) + mel.gather(2, columns + 1) * part
