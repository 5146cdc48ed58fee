"""Mixes the channels of a sound into one, as a listener hears them."""

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Float32

Channels: TypeAlias = Float32[np.ndarray, "channels samples"]
"""Consecutive samples of all channels; full scale is 1."""

_WINDOW_S: Final = 1.0
"""Length of the windows in which channels are compared: longer than a word, so that the choice does not follow single
sounds. Tuned by hand."""
_CANCELLED: Final = 0.2
"""The mean of the channels counts as cancelled if its power is below this share of that of the louder channel alone.
Two channels reach it with a correlation below -0.9; independent ones never do."""
_FADE_S: Final = 0.01
"""Time in which the mix fades from the mean to the louder channel or back, so that the change is not heard."""


def mixed(blocks: Iterator[Channels], rate_hz: int) -> Iterator[Channels]:
    """Mixes channels into one: their mean, or the louder channel in each second in which they cancel each other.

    Channels of opposite phase (a microphone cable with swapped wires, "karaoke" effects) have a mean of silence,
    although each is heard. The mean is exact where channels do not cancel each other.

    Args:
        blocks: Consecutive samples, the same number of channels in each block. A single channel passes unchanged.
        rate_hz: Sampling rate.

    Yields:
        Blocks of one channel, with as many samples altogether.
    """
    loudest: int | None = None
    is_first = True
    for window in _windows(blocks, round(_WINDOW_S * rate_hz)):
        mean = window.mean(axis=0, keepdims=True, dtype=np.float32)
        chosen = _loudest_if_cancelled(window, mean)
        mix = mean if chosen is None else window[chosen : chosen + 1].copy()
        if chosen != loudest and not is_first:
            before = mean if loudest is None else window[loudest : loudest + 1]
            length = min(mix.shape[1], round(_FADE_S * rate_hz))
            fade = np.linspace(0, 1, length, dtype=np.float32)
            mix[:, :length] = before[:, :length] + fade * (mix[:, :length] - before[:, :length])
        loudest, is_first = chosen, False
        yield mix


def _loudest_if_cancelled(window: Channels, mean: Float32[np.ndarray, "1 samples"]) -> int | None:
    powers = np.square(window, dtype=np.float64).mean(axis=1)
    loudest = int(powers.argmax())
    alone = powers[loudest] / len(window) ** 2  # power of the mean if the other channels were silent
    return loudest if np.square(mean, dtype=np.float64).mean() < _CANCELLED * alone else None


def _windows(blocks: Iterator[Channels], length: int) -> Iterator[Channels]:
    """Cuts blocks of several channels into windows of one length; only the last is shorter."""
    waiting: list[Channels] = []
    num_waiting = 0
    for block in blocks:
        if len(block) == 1:
            yield block
            continue
        waiting.append(block)
        num_waiting += block.shape[1]
        while num_waiting >= length:
            joined = np.concatenate(waiting, axis=1)
            yield joined[:, :length]
            waiting, num_waiting = [joined[:, length:]], num_waiting - length
    if num_waiting:
        yield np.concatenate(waiting, axis=1)
