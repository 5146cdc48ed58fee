"""Encodes the frames of a clip as a bare H.264 stream in memory, from which single frames can be decoded.

Training data store their aligned crops in this form (docs/decisions/0014). Every fifth frame is a keyframe, and the end
of each frame's packet is stored, so decoding a frame reads its own packet and at most four before it. Chroma is not
subsampled, so that lips keep their edges. There are no reordered frames and no deblocking filter: a frame decodes in
twice the time of JPEG, at a seventh of the size.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import Int64, UInt8

from pcavs.errors import DataError
from pcavs.media.colour import BT709, LIMITED_RANGE
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

KEYFRAME_EVERY: Final = 5
"""Frames from one keyframe to the next: a longer distance makes streams smaller and random reads slower."""
_CRF: Final = 16
"""x264 rate factor, as of the films (`pcavs.media.film`); 40 dB PSNR against JPEGs of quality 95, by measurement."""
_OPTIONS: Final = {
    "crf": str(_CRF),
    "preset": "veryfast",
    "tune": "fastdecode",
    "g": str(KEYFRAME_EVERY),
    "keyint_min": str(KEYFRAME_EVERY),
    "sc_threshold": "0",  # no extra keyframes at scene cuts
    "bf": "0",
    "threads": "1",  # x264's output depends on the number of threads; equal frames must give equal bytes
}


class Bitstream(NamedTuple):
    """An encoded clip of frames of one size, 25 a second."""

    data: bytes
    """H.264 in Annex B format, which players can open as a .h264 file."""
    ends: Int64[np.ndarray, " time"]
    """Byte offset in `data` at which each frame's packet ends."""


def encode_pictures(pictures: Iterable[Picture]) -> Bitstream:
    """Encodes RGB frames of one size; equal frames give equal bytes (for one build of x264).

    Cost: about 2 ms for a frame of 256 px; memory: the result.
    """
    encoder: Any = None
    reformatter = VideoReformatter()
    packets: list[bytes] = []
    for index, picture in enumerate(pictures):
        if encoder is None:
            encoder = _encoder(picture)
        frame = reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
            format="yuv444p",
            dst_colorspace=Colorspace.ITU709,
            threads=1,
        )
        frame.pts = index
        packets.extend(bytes(packet) for packet in encoder.encode(frame))
    if encoder is not None:
        packets.extend(bytes(packet) for packet in encoder.encode(None))
    return Bitstream(b"".join(packets), np.cumsum([len(packet) for packet in packets], dtype=np.int64))


def decode_pictures(
    stream: Bitstream, frames: Sequence[int] | None = None
) -> UInt8[np.ndarray, "frames height width 3"]:
    """Decodes frames to RGB, in the given order; an index may occur several times.

    Cost: about 1 ms for each frame of 256 px, keyframes and frames in between included.

    Args:
        stream: Result of `encode_pictures`.
        frames: Indices of the frames; None is all of them.

    Raises:
        DataError: The stream is damaged.
    """
    chosen = range(len(stream.ends)) if frames is None else frames
    requested = set(chosen)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.options = {"flags": "low_delay"}
    reformatter = VideoReformatter()
    found: dict[int, Picture] = {}
    try:
        for frame in _frames_to_decode(requested):
            packet = av.Packet(stream.data[0 if frame == 0 else int(stream.ends[frame - 1]) : int(stream.ends[frame])])
            packet.pts = frame
            for shown in decoder.decode(packet):
                if shown.pts in requested:
                    pixels = reformatter.reformat(shown, format="rgb24", src_colorspace=Colorspace.ITU709, threads=1)
                    found[shown.pts] = pixels.to_ndarray()
    except (FFmpegError, IndexError) as error:
        raise DataError(f"a stored clip cannot be decoded ({error}); prepare its clip again") from error
    missing = len(requested - set(found))
    if missing:
        raise DataError(f"a stored clip lacks {missing} of its frames; prepare its clip again")
    return np.stack([found[frame] for frame in chosen])


def _encoder(picture: Picture) -> Any:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt = "yuv444p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
    encoder.colorspace = encoder.color_primaries = encoder.color_trc = BT709
    encoder.color_range = LIMITED_RANGE
    encoder.thread_count = 1
    encoder.options = dict(_OPTIONS)
    return encoder


def _frames_to_decode(requested: set[int]) -> list[int]:
    """Lists, in order, each requested frame and those from the keyframe before it."""
    needed: set[int] = set()
    for frame in requested:
        needed.update(range(frame - frame % KEYFRAME_EVERY, frame + 1))
    return sorted(needed)
