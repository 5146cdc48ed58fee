"""The file formats of films: container, codecs and pixels for each ending of a file name."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeAlias

import av
import av.filter
from av.error import BlockingIOError as AgainError
from av.error import EOFError as EndError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pcavs.errors import OutputError
from pcavs.media.film_tags import tag_gif, tag_webp
from pcavs.media.yuv import LARGE_PIXELS, SMALL_PIXELS, PartialConverter, WholeConverter, rgb_frame
from pcavs.spec import FRAME_RATE
from pcavs.types import Cutout, Picture

_CRF: Final = 16
"""x264 rate factor: nearly transparent, so that compression does not add faults to the face. Chosen by eye."""
_VP9_CRF: Final = 20
"""The same for VP9, whose scale is another. Chosen by eye."""
_WEBP_QUALITY: Final = 85
"""Quality of WebP, 0 to 100. Chosen by eye."""
_ENCODER_THREADS: Final = 4
"""x264's output depends on the number of threads; a fixed number gives equal files on every machine."""
_PALETTE: Final = "stats_mode=single"
"""Each frame of a GIF has its own palette: the film is never held in memory, and no colour is missing later on."""
_DITHER: Final = "new=1:dither=sierra2_4a"
"""Error diffusion hides the edges between the 256 colours of a palette. Chosen by eye."""

Convert: TypeAlias = Callable[[Picture | Cutout, int], Iterator[VideoFrame]]
"""Converts a picture, RGB or RGBA, and its number to the frames that the encoder takes, with timestamps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundFormat:
    """A sound codec and what it takes."""

    codec: str
    rates_hz: frozenset[int]
    """Sampling rates; sound of any other is resampled to 48 kHz."""
    layouts: frozenset[str]
    """Channel layouts; any other becomes stereo."""
    bits_per_sample: int
    """Bit rate for each channel, in bits a sample."""
    max_bits_per_s: int
    """Upper limit of the bit rate for each channel."""
    options: dict[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmFormat:
    """A container, its codecs, and how frames and tags are written."""

    muxer: str
    codec: str
    pixel_format: str
    codec_options: dict[str, str]
    muxer_options: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    sound: SoundFormat | None
    """None for animations, which are silent."""
    converter: Callable[[int, int], Convert]
    """Makes the conversion for frames of a width and height."""
    tag: Callable[[Path, dict[str, str]], None] | None = None
    """Writes the metadata into a finished file, where FFmpeg does not."""

    @property
    def is_yuv(self) -> bool:
        """Whether colours are stored as luma and chroma (BT.709, limited range)."""
        return self.pixel_format.startswith("yuv")


def film_format(path: Path, *, alpha: bool = False) -> FilmFormat:
    """Returns the format that a file name asks for; a name without an ending is an mp4.

    Args:
        path: The file.
        alpha: The film has an alpha channel.

    Raises:
        OutputError: There is no such format, or it keeps no alpha.
    """
    ending = path.suffix.lower()
    if alpha and ending not in _ALPHA_FORMATS:
        raise OutputError(f"{path.name} cannot be transparent; let its name end in {', '.join(_ALPHA_FORMATS)}")
    if alpha:
        return _ALPHA_FORMATS[ending]
    if ending and ending not in _FORMATS:
        raise OutputError(f"{path.name} has no known film format; let its name end in {', '.join(_FORMATS)}")
    return _FORMATS[ending or ".mp4"]


def _to_yuv(width: int, height: int, pixel_format: str = "yuv420p") -> Convert:
    if pixel_format == "yuv420p" and SMALL_PIXELS < width * height <= LARGE_PIXELS:
        return PartialConverter()
    convert_whole = WholeConverter(pixel_format)
    return lambda picture, number: iter([convert_whole(picture, number)])


def _to_bgra(width: int, height: int) -> Convert:
    reformatter = VideoReformatter()

    def convert(picture: Picture | Cutout, number: int) -> Iterator[VideoFrame]:
        frame = rgb_frame(picture, number)
        converted = reformatter.reformat(frame, format="bgra", threads=1)
        converted.pts, converted.time_base = frame.pts, frame.time_base
        yield converted

    return convert


class _ToPalette:
    """Converts frames to 256 colours, each with a palette of its own."""

    def __init__(self, width: int, height: int) -> None:
        self._graph = graph = av.filter.Graph()  # kept: its filters crash once it is gone
        self._source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1, FRAME_RATE)
        )
        split, self._sink = graph.add("split"), graph.add("buffersink")
        palette, use = graph.add("palettegen", _PALETTE), graph.add("paletteuse", _DITHER)
        self._source.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(self._sink)
        graph.configure()

    def __call__(self, picture: Picture | Cutout, number: int) -> Iterator[VideoFrame]:
        self._source.push(rgb_frame(picture, number))
        while True:
            try:
                converted = self._sink.pull()
            except (AgainError, EndError):
                return
            assert isinstance(converted, VideoFrame)
            yield converted


_AAC: Final = SoundFormat(
    codec="aac",
    rates_hz=frozenset({96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}),
    layouts=frozenset({"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"}),
    bits_per_sample=5,  # FFmpeg's encoder takes at most 6
    max_bits_per_s=96_000,
    # The fast coder takes half the time of the default one and, measured at this bit rate, is nearer to the original.
    options={"aac_coder": "fast"},
)
_OPUS: Final = SoundFormat(
    codec="libopus",
    rates_hz=frozenset({48000}),
    layouts=frozenset({"mono", "stereo", "5.1", "7.1"}),
    bits_per_sample=2,
    max_bits_per_s=96_000,
)
_H264: Final = {"crf": str(_CRF), "preset": "veryfast", "threads": str(_ENCODER_THREADS)}
_VP9: Final = {
    "crf": str(_VP9_CRF),
    "b": "0",
    "deadline": "good",
    "cpu-used": "5",
    "row-mt": "1",
    "threads": str(_ENCODER_THREADS),
}
_INDEX_FIRST: Final = {"movflags": "+faststart"}


def _h264(muxer: str, muxer_options: dict[str, str]) -> FilmFormat:
    return FilmFormat(
        muxer=muxer,
        codec="libx264",
        pixel_format="yuv420p",
        codec_options=_H264,
        muxer_options=muxer_options,
        sound=_AAC,
        converter=_to_yuv,
    )


_FORMATS: Final = {
    ".mp4": _h264("mp4", _INDEX_FIRST),
    ".m4v": _h264("mp4", _INDEX_FIRST),
    ".mov": _h264("mov", _INDEX_FIRST),
    ".mkv": _h264("matroska", {}),
    ".webm": FilmFormat(
        muxer="webm",
        codec="libvpx-vp9",
        pixel_format="yuv420p",
        codec_options=_VP9,
        sound=_OPUS,
        converter=_to_yuv,
    ),
    ".gif": FilmFormat(
        muxer="gif",
        codec="gif",
        pixel_format="pal8",
        codec_options={},
        muxer_options={"loop": "0"},
        sound=None,
        converter=_ToPalette,
        tag=tag_gif,
    ),
    ".webp": FilmFormat(
        muxer="webp",
        codec="libwebp_anim",
        pixel_format="bgra",
        codec_options={"quality": str(_WEBP_QUALITY)},
        muxer_options={"loop": "0"},
        sound=None,
        converter=_to_bgra,
        tag=tag_webp,
    ),
}
_ALPHA_FORMATS: Final = {
    ".webm": dataclasses.replace(
        _FORMATS[".webm"],
        pixel_format="yuva420p",
        codec_options=_VP9 | {"auto-alt-ref": "0"},
        converter=functools.partial(_to_yuv, pixel_format="yuva420p"),
    ),
    ".mov": FilmFormat(
        muxer="mov",
        codec="prores_ks",
        pixel_format="yuva444p10le",
        codec_options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0", "threads": str(_ENCODER_THREADS)},
        muxer_options=_INDEX_FIRST,
        sound=_AAC,
        converter=functools.partial(_to_yuv, pixel_format="yuva444p10le"),
    ),
    ".webp": _FORMATS[".webp"],
}
"""Formats of films with alpha, all of them straight: colours are not multiplied by it."""
