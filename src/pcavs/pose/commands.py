"""`pcavs pose`: measures head motion in videos, plots pose sources, and previews them; no talker is needed."""

import dataclasses
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float

from pcavs.errors import InputError, OutputError
from pcavs.face.choice import FaceChoice, parse_choice
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import canonical_face, rotation_from_angles
from pcavs.face.track import TrackPolicy
from pcavs.media.files import atomic_file, output_place, refuse_replacing, write_json
from pcavs.media.film import FilmWriter
from pcavs.media.names import path_exists
from pcavs.media.speech import MelStream, Speech
from pcavs.media.timeline import FRAME_S, MEL_LEAD_BINS, count_frames, frame_time_s, nearest_index
from pcavs.pose import expression
from pcavs.pose.calibration import AXES
from pcavs.pose.compile import CompiledMotion, compile_motion
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.measure import measure_video
from pcavs.pose.options import DrawOptions, ExtractOptions, PlotOptions, PreviewOptions
from pcavs.pose.presets import Rhythm, rhythm_of
from pcavs.pose.source import SegmentReader, pose_files, read_pose, video_timeline
from pcavs.pose.timeline import Segment, TrackSegment, VideoSegment
from pcavs.pose.track import FACE_WIDTH_CM, HeadTrack, load_saved, relative_to, save_track
from pcavs.spec import FRAME_RATE, MelSpec
from pcavs.types import Picture

_AXIS_COLOURS: Final = ((214, 90, 30), (30, 120, 200), (40, 150, 70))
"""RGB of yaw, pitch and roll in a plot."""
_FACE_COLOURS: Final = ((120, 60, 160), (214, 90, 30), (30, 120, 200), (40, 150, 70), (200, 40, 90))
"""RGB of lids, gaze, brows and smile in a plot."""
_PLOT_PX: Final = (1200, 420)
"""Width and height of a plot."""
_PLOT_LEFT_PX, _PLOT_RIGHT_PX, _PLOT_TOP_PX, _PLOT_BOTTOM_PX = 60, 20, 10, 30
"""Margins of a plot around its curves."""
_PLOT_STEP_DEG: Final = 10.0
"""The vertical axis of a plot ends at a multiple of this."""
_LEGEND_STEP_PX, _LEGEND_GROUP_PX = 150, 480
"""Distance between two names in the legend, and between the names of two sets of curves."""
_TEXT_SCALE: Final = 0.45
"""Font scale (OpenCV)."""
_GREY, _LIGHT_GREY = (90, 90, 90), (225, 225, 225)
"""RGB of the labels and of the grid lines of a plot."""
_NUM_LINES, _NUM_TIMES = 5, 7
"""Grid lines of a plot, and labels of its time axis."""
_BACKGROUND_LEVEL: Final = 24
"""Grey level of the background of a preview."""
_FACE_RGB, _WIRE_RGB, _LABEL_RGB = (38, 42, 48), (150, 190, 220), (230, 230, 230)
"""Colours of a preview: triangles, their edges, and the label."""
_HEAD_PX: Final = 256
"""Side of a preview."""
_HEAD_CM: Final = 24.0
"""Side of a preview, in centimetres of the average head."""
_HEAD_CENTRE: Final = np.array([0.5, 0.46])
"""Where the head's origin lies in a preview, as a share of its side."""
_SUBPIXEL_BITS: Final = 4
"""Bits of OpenCV's fixed-point coordinates behind the point."""
_MAX_COORDINATE: Final = 2**20
"""Coordinates are clipped to this, as OpenCV overflows on larger ones."""
_LONGEST_S: Final = 3600.0
"""Longest plot or preview without audio."""
_BEATS_PER_S: Final = 1.5
"""Beats of the steady rhythm that presets follow without audio."""


def extract(options: ExtractOptions) -> str:
    """Measures the head motion in a video and saves its track; returns a summary for the user.

    Raises:
        PcavsError: The video shows no face, or a file cannot be used.
    """
    _refuse_existing(options.out, overwrite=options.overwrite)
    refuse_replacing([options.out, options.report], [("the video", options.video)])
    policy = TrackPolicy(missing=options.missing, choice=_read_choice(options.face))
    span_s = (options.start, options.end)
    measured = measure_video(options.video, span_s, FaceLandmarker(), policy, lambda *_: None)
    found = measured.report.found
    if options.missing == "skip":
        found = found[found]
    save_track(measured.track, found, options.out, overwrite=options.overwrite, face=measured.face)
    if options.report is not None:
        write_json(options.report, {"format": "pcavs-faces-1", "videos": [measured.report.to_json()]})
    low, high = measured.track[:, :3].min(axis=0), measured.track[:, :3].max(axis=0)
    spans = ", ".join(f"{name} {low[n]:.0f} to {high[n]:.0f}" for n, name in enumerate(AXES))
    length_s = frame_time_s(len(measured.track))
    summary = f"{options.out}: {len(measured.track)} frames, {length_s:.2f} s, degrees: {spans}"
    return "\n".join([summary, *measured.notes])


def plot(options: PlotOptions) -> Path:
    """Plots a pose source as a picture; returns its path.

    Raises:
        PcavsError: The pose source cannot be read, or the picture not written.
    """
    _refuse_existing(options.out, overwrite=options.overwrite)
    refuse_replacing([options.out], _inputs(options))
    motion = _motion_of(options)
    picture = draw_curves({"": motion.head[:, :3]})
    if motion.expression is not None:
        picture = np.vstack([picture, draw_face(motion.expression)])
    with atomic_file(options.out, overwrite=options.overwrite) as part:
        part.write_bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
    return options.out


def preview(options: PreviewOptions) -> Path:
    """Makes a film of a wireframe head, with the audio if there is any; returns its path.

    Raises:
        PcavsError: The pose source cannot be read, or the film not written.
    """
    refuse_replacing([options.out], _inputs(options))
    track = _track_of(options)
    with FilmWriter(options.out, (_HEAD_PX, _HEAD_PX), audio=options.audio, overwrite=options.overwrite) as writer:
        for row in track:
            writer.write(wire_head(row))
    return options.out


def _inputs(options: DrawOptions) -> list[tuple[str, Path | None]]:
    """Lists the files that a plot or preview reads, each with what it is."""
    return [*pose_files(options.pose, outside=options.outside), ("the audio", options.audio)]


def _track_of(options: DrawOptions) -> HeadTrack:
    """Compiles the head of a pose source; see `_motion_of`."""
    return _motion_of(options).head


def _motion_of(options: DrawOptions) -> CompiledMotion:
    """Compiles a pose source for the length of the audio; relative poses start with a head that looks ahead.

    Videos and tracks lend what they hold of the face.

    Raises:
        InputError: The pose source or the audio cannot be read.
    """
    timeline = read_pose(options.pose, relative=False, outside=options.outside) or video_timeline(options.pose)
    rhythm = _rhythm(options)
    sources = SegmentReader(FaceLandmarker(), TrackPolicy(), lambda *_: None)
    timeline = dataclasses.replace(timeline, segments=tuple(_whole(each) for each in timeline.segments))
    motion = compile_motion(timeline, len(rhythm), rhythm, sources)
    return motion._replace(head=relative_to(motion.head, np.zeros(3))) if timeline.mode == "relative" else motion


def _whole(segment: Segment) -> Segment:
    """Lets a video or track lend its face, too, if it has one."""
    if isinstance(segment, VideoSegment) or (
        isinstance(segment, TrackSegment) and load_saved(segment.path).face is not None
    ):
        return dataclasses.replace(segment, performance=True)
    return segment


def draw_curves(curves: dict[str, Float[np.ndarray, "time 3"]]) -> Picture:
    """Plots yaw, pitch and roll in degrees over seconds.

    Args:
        curves: Curves by name; the first set is drawn bold, further ones thin and pale. NaN leaves a gap.
    """
    width, height = _PLOT_PX
    picture = np.full((height, width, 3), 255, np.uint8)
    largest = (float(np.nanmax(np.abs(track))) for track in curves.values())
    reach = max(_PLOT_STEP_DEG, *(_PLOT_STEP_DEG * float(np.ceil(each / _PLOT_STEP_DEG)) for each in largest))
    length = max(len(track) for track in curves.values())

    def place(t: float | int, value: float) -> tuple[int, int]:
        x = _PLOT_LEFT_PX + t / max(length - 1, 1) * (width - _PLOT_LEFT_PX - _PLOT_RIGHT_PX)
        return round(x), round((height - _PLOT_TOP_PX - _PLOT_BOTTOM_PX) / 2 * (1 - value / reach) + _PLOT_TOP_PX)

    for value in np.linspace(-reach, reach, _NUM_LINES):
        cv2.line(picture, place(0, value), place(length - 1, value), _LIGHT_GREY, 1)
        _write_text(picture, f"{value:.0f}", (8, place(0, value)[1] + 5), _GREY)
    for second in np.linspace(0, frame_time_s(length), _NUM_TIMES):
        _write_text(picture, f"{second:.1f} s", (place(second * FRAME_RATE, 0.0)[0] - 20, height - 28), _GREY)
    for number, (name, track) in enumerate(curves.items()):
        for axis, colour in enumerate(_AXIS_COLOURS):
            points = [place(t, value) for t, value in enumerate(track[:, axis]) if np.isfinite(value)]
            shade = colour if not number else tuple(min(255, (part + 255) // 2) for part in colour)
            cv2.polylines(picture, [np.array(points)], False, shade, 1 if number else 2, cv2.LINE_AA)
            x = _PLOT_LEFT_PX + _LEGEND_STEP_PX * axis + _LEGEND_GROUP_PX * number
            _write_text(picture, f"{AXES[axis]} {name}".strip(), (x, height - 8), shade)
    return picture


def draw_face(track: ExpressionTrack) -> Picture:
    """Plots an expression track: shares as they are, the gaze as a share of its largest angle."""
    width, height = _PLOT_PX
    picture = np.full((height, width, 3), 255, np.uint8)
    shares = track / expression.HIGHEST
    curves = {
        "lids closed": shares[:, expression.LIDS].mean(axis=1),
        f"gaze right / {expression.HIGHEST[expression.GAZE_YAW]:.0f}": shares[:, expression.GAZE_YAW],
        f"gaze up / {expression.HIGHEST[expression.GAZE_PITCH]:.0f}": shares[:, expression.GAZE_PITCH],
        "brows": shares[:, expression.LEFT_BROW : expression.RIGHT_BROW + 1].mean(axis=1),
        "smile": shares[:, expression.SMILE],
    }

    def place(t: float, value: float) -> tuple[int, int]:
        x = _PLOT_LEFT_PX + t / max(len(track) - 1, 1) * (width - _PLOT_LEFT_PX - _PLOT_RIGHT_PX)
        return round(x), round((height - _PLOT_TOP_PX - _PLOT_BOTTOM_PX) / 2 * (1 - value) + _PLOT_TOP_PX)

    for value in np.linspace(-1, 1, _NUM_LINES):
        cv2.line(picture, place(0, value), place(len(track) - 1, value), _LIGHT_GREY, 1)
        _write_text(picture, f"{value:g}", (8, place(0, value)[1] + 5), _GREY)
    for number, ((name, values), colour) in enumerate(zip(curves.items(), _FACE_COLOURS, strict=True)):
        points = [place(t, value) for t, value in enumerate(values)]
        cv2.polylines(picture, [np.array(points)], False, colour, 2, cv2.LINE_AA)
        _write_text(picture, name, (_PLOT_LEFT_PX + _LEGEND_STEP_PX * number, height - 8), colour)
    return picture


def wire_head(row: Float[np.ndarray, "6"]) -> Picture:
    """Draws the canonical head as a wireframe in the pose of one row of a head track."""
    face = canonical_face()
    turned = face.vertices_cm @ rotation_from_angles(row[None, :3].astype(np.float64))[0].T
    px_per_cm = _HEAD_PX / _HEAD_CM * float(np.exp(row[5]))
    centre = _HEAD_CENTRE * _HEAD_PX + row[3:5] * FACE_WIDTH_CM * px_per_cm
    fixed_point = np.round((turned[:, :2] * px_per_cm + centre) * 2**_SUBPIXEL_BITS)
    points = fixed_point.clip(-_MAX_COORDINATE, _MAX_COORDINATE).astype(np.int32)
    picture = np.full((_HEAD_PX, _HEAD_PX, 3), _BACKGROUND_LEVEL, np.uint8)
    farthest_first = np.argsort(-turned[face.triangles, 2].mean(axis=1))
    for corners in points[face.triangles[farthest_first]]:
        cv2.fillConvexPoly(picture, corners, _FACE_RGB, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.polylines(picture, [corners], True, _WIRE_RGB, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    angles = " ".join(f"{name} {row[n]:.0f}" for n, name in enumerate(AXES))
    _write_text(picture, angles, (8, _HEAD_PX - 10), _LABEL_RGB)
    return picture


def _rhythm(options: DrawOptions) -> Rhythm:
    """Returns the rhythm of the audio, or a steady one for a number of seconds."""
    if options.audio is not None:
        speech = Speech(options.audio, 0.0, None, MelSpec())
        num_frames = count_frames(speech.stats.num_samples)
        return rhythm_of(MelStream(speech, num_frames, MEL_LEAD_BINS), num_frames)
    if not FRAME_S <= options.seconds <= _LONGEST_S:
        shortest_s = float(FRAME_S)
        raise InputError(f"a length of {options.seconds:g} s cannot be drawn; give {shortest_s:g} to {_LONGEST_S:g}")
    times_s = np.arange(nearest_index(options.seconds, FRAME_RATE)) / FRAME_RATE
    return 0.5 - 0.5 * np.cos(2 * np.pi * _BEATS_PER_S * times_s)


def _read_choice(text: str) -> FaceChoice:
    """Reads `--face`, which cannot be a picture here, because no identity encoder is loaded."""
    choice = parse_choice(text)
    if choice is None:
        raise InputError(f"a face of {text} cannot be chosen here; give largest, left, right, or a number")
    return choice


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuses a place that cannot be written, or a file that exists, before anything is computed."""
    output_place(path)
    if path_exists(path) and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or add --overwrite")


def _write_text(picture: Picture, text: str, place: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, _TEXT_SCALE, colour, 1, cv2.LINE_AA)
