"""Computes the speech features that packs store with a clip."""

import numpy as np
from jaxtyping import Float16

from pcavs.data.pack import STATE_MARGIN_FRAMES
from pcavs.media.speech import ArrayWindows
from pcavs.runtime.base import Features
from pcavs.spec import STATES_PER_FRAME
from pcavs.types import Waveform


def clip_states(features: Features, waveform: Waveform, num_frames: int) -> Float16[np.ndarray, "states dim"]:
    """Computes the states that a pack stores for a clip, `STATE_MARGIN_FRAMES` before and after it included."""
    first, stop = -STATE_MARGIN_FRAMES, num_frames + STATE_MARGIN_FRAMES
    hop = features.spec.hop_frames
    groups = range(first // hop, (stop - 1) // hop + 1)
    reader = ArrayWindows(waveform, features.spec)
    states = np.concatenate([each.astype(np.float16) for each in features.groups(reader.windows(groups))])
    skipped = (first - groups.start * hop) * STATES_PER_FRAME
    return states[skipped : skipped + (stop - first) * STATES_PER_FRAME]
