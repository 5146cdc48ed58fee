"""Resolves what the face of a film does besides speaking and turning: expression and gaze of each frame."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.animate.controls import Poses
from pcavs.animate.options import SPEECH, FilmOptions, LookAt, face_film
from pcavs.pose import expression
from pcavs.pose.codes import Angles
from pcavs.pose.compile import CompiledMotion, compile_motion
from pcavs.pose.expression import ExpressionTrack, parse_gaze
from pcavs.pose.life import natural
from pcavs.pose.presets import Rhythm
from pcavs.pose.source import SegmentReader, performance_timeline

_EYES = slice(expression.LEFT_LID, expression.GAZE_PITCH + 1)
_BROWS = slice(expression.LEFT_BROW, expression.SMILE + 1)
"""Columns that `eyes` and `brows` replace."""


class MixedFace(NamedTuple):
    """What pose source, performance, `eyes` and `brows` make of a face."""

    expression: ExpressionTrack | None
    """None if nothing moves."""
    moves_lids: bool
    """Whether no blinks are to be added: the lids have their own, or are to stay open."""


class FaceMixer:
    """Joins the expression of the pose source with those of performance, eyes and brows.

    Args:
        options: Settings of the film.
        rhythm: Loudness of the speech in each frame.
        sources: Reads films and saved tracks.
    """

    def __init__(self, options: FilmOptions, rhythm: Rhythm, sources: SegmentReader) -> None:
        self._options, self._rhythm, self._sources = options, rhythm, sources

    def mix(self, compiled: CompiledMotion | None) -> MixedFace:
        """Returns the expression of each frame.

        Args:
            compiled: What the pose source says, which is the performance if there is no other; None without either.

        Raises:
            InputError: A film cannot be read.
        """
        options = self._options
        track = expression.neutral(len(self._rhythm))
        moves_lids = False
        if compiled is not None:
            moves_lids = compiled.moves_lids
            track += 0.0 if compiled.expression is None else compiled.expression
        if options.performance is not None and options.pose is not None:
            lent = self._of(options.performance)
            lids = expression.joined_lids(track[:, expression.LIDS], lent[:, expression.LIDS])
            track += lent
            track[:, expression.LIDS] = lids
            moves_lids = True
        for name, columns in (("eyes", _EYES), ("brows", _BROWS)):
            value = getattr(options, name)
            if value is not None:
                film = face_film(name, value)
                track[:, columns] = (self._of(film) if film is not None else self._of_word(value))[:, columns]
        moves_lids = moves_lids or options.eyes is not None
        return MixedFace(expression.limited(track) if track.any() else None, moves_lids)

    def _of_word(self, word: str) -> ExpressionTrack:
        """Returns the expression that the speech or the photograph has."""
        if word == SPEECH:
            return natural(self._rhythm, self._options.seed).expression
        return expression.neutral(len(self._rhythm))

    def _of(self, film: Path) -> ExpressionTrack:
        """Returns the expression that a film or a saved track has."""
        lent = compile_motion(performance_timeline(film), len(self._rhythm), self._rhythm, self._sources).expression
        return expression.neutral(len(self._rhythm)) if lent is None else lent


def expressions_of(
    options: FilmOptions, borrowed: ExpressionTrack | None, poses: Poses, own_deg: Angles, num_frames: int
) -> ExpressionTrack | None:
    """Adds gaze and smile of the settings to what is borrowed, for a film whose head is turned by depth.

    Args:
        options: Settings of the film.
        borrowed: Expression of pose source, performance, eyes and brows; None if they move nothing.
        poses: Rows of the head track that the renderer follows; fewer than frames if the head is still.
        own_deg: Yaw, pitch and roll of the photograph.
        num_frames: Length of the film.

    Returns:
        None if the face stays as it is in the photograph.
    """
    track = expression.neutral(num_frames)
    if borrowed is not None:
        track += borrowed
    gaze = held_gaze(options.gaze, options.look, poses, own_deg)
    track[:, expression.GAZE] += gaze
    follow = expression.gaze_lids(gaze[:, 1])[:, None]
    track[:, expression.LIDS] = expression.joined_lids(track[:, expression.LIDS], follow)
    track[:, expression.SMILE] += options.smile
    if options.no_blinks:
        track[:, expression.LIDS] = track[:, expression.LIDS].clip(max=0)
    return expression.limited(track) if track.any() else None


def held_gaze(gaze: str | None, look: LookAt, poses: Poses, own_deg: Angles) -> Float[np.ndarray, "poses 2"]:
    """Returns the gaze in the head, in degrees, for each head pose.

    Args:
        gaze: Degrees as text; None is the photograph's gaze.
        look: What the eyes hold on to.
        poses: Rows of a head track.
        own_deg: Yaw, pitch and roll of the photograph.
    """
    held = np.array((0.0, 0.0) if gaze is None else parse_gaze(gaze))
    if look == "head":
        return np.repeat(held[None], len(poses), axis=0)
    return held + own_deg[:2] - poses[:, :2]
