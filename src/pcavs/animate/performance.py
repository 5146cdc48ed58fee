"""Resolves what the face of a film does besides speaking and turning: gaze and expression of each frame."""

import numpy as np

from pcavs.animate.controls import Poses
from pcavs.animate.identity import Identity
from pcavs.animate.options import FilmOptions, LookAt
from pcavs.pose import expression
from pcavs.pose.expression import ExpressionTrack, parse_gaze


def expressions_of(
    options: FilmOptions, timeline: ExpressionTrack | None, poses: Poses, identity: Identity, num_frames: int
) -> ExpressionTrack | None:
    """Computes the expression of each frame of a film whose head is turned by depth.

    Args:
        options: Settings of the film.
        timeline: Expression of the pose source; None if it has none.
        poses: Rows of the head track that the renderer follows; fewer than frames if the head is still.
        identity: The person.
        num_frames: Length of the film.

    Returns:
        None if the face stays as it is in the photograph.
    """
    track = expression.neutral(num_frames)
    if timeline is not None:
        track += timeline
    gaze = held_gaze(options.gaze, options.look, poses, identity)
    track[:, expression.GAZE] += gaze
    track[:, expression.LIDS] += expression.gaze_lids(gaze[:, 1])[:, None]
    track[:, expression.SMILE] += options.smile
    return expression.limited(track) if track.any() else None


def held_gaze(gaze: str | None, look: LookAt, poses: Poses, identity: Identity) -> np.ndarray:
    """Returns the gaze in the head, in degrees, for each head pose: (poses, 2).

    Args:
        gaze: Degrees as text; None is the photograph's gaze.
        look: What the eyes hold on to.
        poses: Rows of a head track.
        identity: The person.
    """
    held = np.array((0.0, 0.0) if gaze is None else parse_gaze(gaze))
    if look == "head":
        return np.repeat(held[None], len(poses), axis=0)
    return held + identity.own_deg[:2] - poses[:, :2]
