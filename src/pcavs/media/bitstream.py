"""Short films in memory as bare H.264, of which any frame is decoded without its whole.

Each frame is one piece of the stream, and every fifth is a keyframe: to see a frame, its piece and at most four before
it are decoded. Colour is not subsampled, so that lips keep their edge, and the stream has neither reordered frames nor
a deblocking filter, so that reading costs little more than JPEG at a seventh of the size (docs/decisions/0014).
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
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

KEYFRAME_EVERY: Final = 5
_CRF: Final = 16
_OPTIONS: Final = {
    "crf": str(_CRF),
    "preset": "veryfast",
    "tune": "fastdecode",
    "g": str(KEYFRAME_EVERY),
    "keyint_min": str(KEYFRAME_EVERY),
    "sc_threshold": "0",  # keyframes at fixed places only
    "bf": "0",
    "threads": "1",  # equal pictures must give equal bytes on every machine
}


class Bitstream(NamedTuple):
    """A film of equal pictures, 25 a second."""

    data: bytes
    """Annex B H.264; players read it as a file named .h264."""
    ends: Int64[np.ndarray, " time"]
    """Where each frame's piece ends in `data`."""


def encode_pictures(pictures: Iterable[Picture]) -> Bitstream:
    """Encodes RGB pictures of one size, one after the other; equal pictures give equal bytes.

    Cost: about 2 ms a picture of 256 px; memory: the result.
    """
    encoder: Any = None
    reformatter = VideoReformatter()
    pieces: list[bytes] = []
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
        pieces.extend(bytes(packet) for packet in encoder.encode(frame))
    if encoder is not None:
        pieces.extend(bytes(packet) for packet in encoder.encode(None))
    return Bitstream(b"".join(pieces), np.cumsum([len(piece) for piece in pieces], dtype=np.int64))


def decode_pictures(film: Bitstream, frames: Sequence[int] | None = None) -> UInt8[np.ndarray, "frames height width 3"]:
    """Decodes some frames of a film, RGB, in the order asked for; None is all.

    Cost: about 1 ms a frame of 256 px.

    Raises:
        DataError: The stream is damaged.
    """
    chosen = range(len(film.ends)) if frames is None else frames
    wanted = set(chosen)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoder.options = {"flags": "low_delay"}
    reformatter = VideoReformatter()
    found: dict[int, Picture] = {}
    try:
        for frame in _needed(wanted):
            packet = av.Packet(film.data[0 if frame == 0 else int(film.ends[frame - 1]) : int(film.ends[frame])])
            packet.pts = frame
            for shown in decoder.decode(packet):
                if shown.pts in wanted:
                    pixels = reformatter.reformat(shown, format="rgb24", src_colorspace=Colorspace.ITU709, threads=1)
                    found[shown.pts] = pixels.to_ndarray()
    except (FFmpegError, IndexError) as error:
        raise DataError(f"a stored film cannot be decoded ({error}); prepare its clip again") from error
    if wanted - set(found):
        raise DataError(f"a stored film lacks {len(wanted - set(found))} of its frames; prepare its clip again")
    return np.stack([found[frame] for frame in chosen])


def _encoder(picture: Picture) -> Any:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt = "yuv444p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
    encoder.colorspace = encoder.color_primaries = encoder.color_trc = 1  # BT.709
    encoder.color_range = 1
    encoder.thread_count = 1
    encoder.options = dict(_OPTIONS)
    return encoder


def _needed(wanted: set[int]) -> list[int]:
    """The frames to decode: from the keyframe before each wanted one up to it."""
    needed: set[int] = set()
    for frame in wanted:
        needed.update(range(frame - frame % KEYFRAME_EVERY, frame + 1))
    return sorted(needed)
