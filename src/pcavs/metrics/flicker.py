"""Flicker: brightness changes between frames that motion does not explain."""

from collections.abc import Iterable

import cv2
import numpy as np

from pcavs.types import Picture


def flicker(frames: Iterable[Picture]) -> float:
    """Computes the mean absolute warping error between neighbouring frames, in grey levels (0 to 255).

    Each frame is warped onto the next along dense optical flow and subtracted from it. A still film scores 0; video
    compression and sensor noise score 1 to 2, so compare with the ground truth. A blurred film flickers little, so
    read it together with sharpness. Fewer than two frames score 0.

    Reference: the warping error of Lai et al., "Learning blind video temporal consistency", ECCV 2018, with the
    optical flow of Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    errors, before, grid = [], None, None
    for frame in frames:
        now = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if before is not None:
            if grid is None:
                grid = np.mgrid[0 : now.shape[0], 0 : now.shape[1]].astype(np.float32)
            flow = search.calc(now, before, np.zeros((*now.shape, 2), np.float32))
            errors.append(_warping_error(flow, grid, before, now))
        before = now
    return float(np.mean(errors)) if errors else 0.0


def _warping_error(flow: np.ndarray, grid: np.ndarray, before: np.ndarray, now: np.ndarray) -> float:
    rows, columns = grid[0] + flow[..., 1], grid[1] + flow[..., 0]
    warped = cv2.remap(before, columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(warped, now).mean())
