"""`pcavs pose`: head motion read from films, plotted and looked at, without a talker."""

import json
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float

from pcavs.errors import InputError, OutputError
from pcavs.face.choice import ByPosition, FaceChoice, Largest
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import canonical_face, rotation_from_angles
from pcavs.face.track import TrackPolicy
from pcavs.media.film import FilmWriter
from pcavs.media.speech import MelStream, Speech
from pcavs.media.timeline import MEL_LEAD_BINS, count_frames, frame_time_s, nearest_index
from pcavs.pose.compile import lay_out
from pcavs.pose.measure import measure_film
from pcavs.pose.options import DrawOptions, ExtractOptions, PlotOptions, PreviewOptions
from pcavs.pose.presets import Rhythm, rhythm_of
from pcavs.pose.source import clipped_track, read_pose
from pcavs.pose.timeline import FilmSegment, Timeline, TrackSegment
from pcavs.pose.track import FACE_WIDTH_CM, HeadTrack, relative_to
from pcavs.pose.track_file import save_track
from pcavs.spec import FRAME_RATE, MelSpec
from pcavs.types import Picture

_COLOURS: Final = ((214, 90, 30), (30, 120, 200), (40, 150, 70))
_NAMES: Final = ("yaw", "pitch", "roll")
_WIDTH, _HEIGHT, _LEFT, _FOOT = 1200, 420, 60, 40
_HEAD_PX: Final = 256
_LONGEST_S: Final = 3600.0


def extract(options: ExtractOptions) -> str:
    """Measures a film's head and saves its track.

    Raises:
        PcavsError: The film shows no face, or a file cannot be used.
    """
    if options.out.exists() and not options.overwrite:
        raise OutputError(f"{options.out} exists already; choose another name or ask to overwrite it")
    policy = TrackPolicy(missing=options.missing, choice=_choice(options.face))
    span_s = (options.start, options.end)
    measured = measure_film(options.film, span_s, FaceLandmarker(), policy, lambda *_: None)
    seen = measured.report.found
    if options.missing == "skip":
        seen = seen[seen]
    save_track(measured.track, seen, options.out, overwrite=options.overwrite)
    if options.report is not None:
        fields = {"format": "pcavs-faces-1", "films": [measured.report.to_json()]}
        _write(options.report, (json.dumps(fields, indent=1) + "\n").encode())
    low, high = measured.track[:, :3].min(axis=0), measured.track[:, :3].max(axis=0)
    spans = ", ".join(f"{name} {low[n]:.0f} to {high[n]:.0f}" for n, name in enumerate(_NAMES))
    lines = [
        f"{options.out}: {len(measured.track)} frames, {frame_time_s(len(measured.track)):.2f} s, degrees: {spans}"
    ]
    return "\n".join([*lines, *measured.notes])


def plot(options: PlotOptions) -> Path:
    """Draws curves.

    Raises:
        PcavsError: The pose cannot be read, or the picture not written.
    """
    _refuse_existing(options)
    track = track_of(options)
    _write(options.out, cv2.imencode(".png", draw_curves({"": track[:, :3]})[:, :, ::-1])[1].tobytes())
    return options.out


def preview(options: PreviewOptions) -> Path:
    """Draws a moving head, with the speech if there is any.

    Raises:
        PcavsError: The pose cannot be read, or the film not written.
    """
    track = track_of(options)
    with FilmWriter(options.out, (_HEAD_PX, _HEAD_PX), audio=options.audio, overwrite=options.overwrite) as writer:
        for row in track:
            writer.write(wire_head(row))
    return options.out


def track_of(options: DrawOptions) -> HeadTrack:
    """Lays out a pose for the length of the speech; relative poses begin looking ahead.

    Raises:
        InputError: The pose or the speech cannot be read.
    """
    timeline = read_pose(options.pose, relative=False)
    timeline = timeline or Timeline(segments=(FilmSegment(path=options.pose),), beyond="bounce")
    rhythm = _rhythm(options)
    landmarker = FaceLandmarker()

    def fetch(segment: FilmSegment | TrackSegment, most: int) -> HeadTrack:
        if isinstance(segment, TrackSegment):
            return clipped_track(segment, most)
        end_s = min(segment.end_s or np.inf, segment.start_s + frame_time_s(most))
        return measure_film(segment.path, (segment.start_s, end_s), landmarker, TrackPolicy(), lambda *_: None).track

    track = lay_out(timeline, len(rhythm), rhythm, fetch)
    return relative_to(track, np.zeros(3)) if timeline.mode == "relative" else track


def draw_curves(curves: dict[str, Float[np.ndarray, "time 3"]]) -> Picture:
    """Draws yaw, pitch and roll in degrees over seconds: the first curves bold, further ones thin."""
    picture = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    reach = max(10.0, *(10 * float(np.ceil(np.nanmax(np.abs(track)) / 10)) for track in curves.values()))
    length = max(len(track) for track in curves.values())

    def place(t: float | int, value: float) -> tuple[int, int]:
        x = _LEFT + t / max(length - 1, 1) * (_WIDTH - _LEFT - 20)
        return round(x), round((_HEIGHT - _FOOT) / 2 * (1 - value / reach) + 10)

    for value in np.linspace(-reach, reach, 5):
        cv2.line(picture, place(0, value), place(length - 1, value), (225, 225, 225), 1)
        _say(picture, f"{value:.0f}", (8, place(0, value)[1] + 5), (90, 90, 90))
    for second in np.linspace(0, frame_time_s(length), 7):
        _say(picture, f"{second:.1f} s", (place(second * FRAME_RATE, 0.0)[0] - 20, _HEIGHT - 28), (90, 90, 90))
    for number, (name, track) in enumerate(curves.items()):
        for axis, colour in enumerate(_COLOURS):
            points = [place(t, value) for t, value in enumerate(track[:, axis]) if np.isfinite(value)]
            shade = colour if not number else tuple(min(255, (part + 255) // 2) for part in colour)
            cv2.polylines(picture, [np.array(points)], False, shade, 1 if number else 2, cv2.LINE_AA)
            label = f"{_NAMES[axis]} {name}".strip()
            _say(picture, label, (_LEFT + 150 * axis + 480 * number, _HEIGHT - 8), shade)
    return picture


def wire_head(row: Float[np.ndarray, "6"]) -> Picture:
    """Draws the canonical head in a pose."""
    face = canonical_face()
    turned = face.vertices_cm @ rotation_from_angles(row[None, :3].astype(np.float64))[0].T
    px_per_cm = _HEAD_PX / 24 * float(np.exp(row[5]))
    middle = np.array([0.5, 0.46]) * _HEAD_PX + row[3:5] * FACE_WIDTH_CM * px_per_cm
    points = np.round((turned[:, :2] * px_per_cm + middle) * 16).clip(-(2**20), 2**20).astype(np.int32)
    picture = np.full((_HEAD_PX, _HEAD_PX, 3), 24, np.uint8)
    order = np.argsort(-turned[face.triangles, 2].mean(axis=1))
    for corners in points[face.triangles[order]]:
        cv2.fillConvexPoly(picture, corners, (38, 42, 48), cv2.LINE_AA, 4)
        cv2.polylines(picture, [corners], True, (150, 190, 220), 1, cv2.LINE_AA, 4)
    _say(
        picture, " ".join(f"{name} {row[n]:.0f}" for n, name in enumerate(_NAMES)), (8, _HEAD_PX - 10), (230, 230, 230)
    )
    return picture


def _rhythm(options: DrawOptions) -> Rhythm:
    if options.audio is not None:
        speech = Speech(options.audio, 0.0, None, MelSpec())
        num_frames = count_frames(speech.stats.num_samples)
        return rhythm_of(MelStream(speech, num_frames, MEL_LEAD_BINS), num_frames)
    if not FRAME_RATE**-1 <= options.seconds <= _LONGEST_S:
        raise InputError(f"a length of {options.seconds:g} s cannot be drawn; give 0.04 to {_LONGEST_S:g}")
    beats = np.arange(nearest_index(options.seconds, FRAME_RATE)) / FRAME_RATE
    return 0.5 - 0.5 * np.cos(2 * np.pi * 1.5 * beats)


def _choice(words: str) -> FaceChoice:
    places = {"left": 0, "right": -1}
    if words == "largest":
        return Largest()
    if words in places or (words.isdecimal() and len(words) < 3):
        return ByPosition(places[words] if words in places else int(words))
    raise InputError(f"a face of {words} cannot be chosen here; give largest, left, right, or a number from the left")


def _refuse_existing(options: DrawOptions) -> None:
    if options.out.exists() and not options.overwrite:
        raise OutputError(f"{options.out} exists already; choose another name or ask to overwrite it")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place") from error


def _say(picture: Picture, text: str, place: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
