"""Writes the output video of a command frame by frame, with the driving audio, complete or not at all.

Formats: `pcavs.media.film_format`.
"""

import contextlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.error import ExternalError, FFmpegError

from pcavs.errors import InputError, OutputError, PcavsError, raise_if_out_of_memory
from pcavs.media.audio import AudioReader, Block, to_audio_frame
from pcavs.media.colour import BT709, LIMITED_RANGE
from pcavs.media.files import atomic_file, output_error, output_place, refuse_replacing
from pcavs.media.film_format import SoundFormat, film_format
from pcavs.media.timeline import FRAME_S, nearest_index
from pcavs.spec import FRAME_RATE
from pcavs.types import Cutout, Picture

_LARGE_PIXELS: Final = 1920 * 1088
"""Pixels of a frame above which x264 keeps few frames: each takes 40 MB at 4K, and it holds up to twenty."""
_LARGE_X264: Final = {"x264-params": "rc-lookahead=0:sync-lookahead=0:bframes=1:sliced-threads=1"}
_OTHER_RATE_HZ: Final = 48000
"""Sampling rate for audio whose own rate the codec lacks."""
_STANDARD_TAGS: Final = {"title", "artist", "album", "comment", "date", "genre", "copyright", "description", "encoder"}
"""Metadata names that mp4 stores without custom tags."""


logger = logging.getLogger(__name__)

SoundFilter = Callable[[Iterable[Block], int], Iterator[Block]]
"""Changes sound, such as `provenance.audio_mark`: takes blocks and their rate in Hz, gives equally many samples."""


class _DiscardedError(Exception):
    """Raised inside the exit stack of a `FilmWriter` to make `atomic_file` remove the part file."""


class FilmWriter:
    """Writes a video frame by frame at 25 frames a second; a context manager.

    The ending of the file's name chooses the format (`film_format`); animations (.gif, .webp) carry no sound.

    The video grows in a part file beside its final name (`pcavs.media.files.atomic_file`). It is renamed when it is
    complete, and removed when the block is left by an exception, Ctrl-C included. Entering the block checks the output
    path and the driving audio, so that a bad one fails before any frame is computed.

    Sound and picture are interleaved as frames come, so memory does not grow with the length. The driving audio starts
    with frame 0, keeps its sampling rate and channels, and ends at most 40 ms after the picture. A rate that the codec
    lacks (192 kHz) becomes 48 kHz, a layout that it lacks becomes stereo.

    Args:
        path: The video to write.
        size: Width and height of the frames in pixels, both even; None takes the size of the first frame.
        audio: The driving audio: any file with sound; None writes a silent video.
        audio_start_s: Start of the part of the driving audio to use, in seconds.
        audio_end_s: End of that part, in seconds; None is the end of the file.
        audio_stream: Number of the audio stream, from 0; None is the one that is marked default, or else the first.
        sound_filter: Changes the driving audio before it is encoded; None keeps it.
        metadata: Tags such as title or comment; other names are stored as custom tags.
        alpha: Frames are RGBA with straight alpha, which the file keeps.
        finish: Called with the complete file under its temporary name, just before it is renamed; may replace it.
        overwrite: Replace an existing file.

    Raises:
        InputError: A side is odd; or, on entering, the audio cannot be read.
        OutputError: On entering: the file exists, cannot be written there, or its name has an unknown ending.
    """

    def __init__(  # noqa: PLR0913 - the range belongs to the driving audio
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        *,
        audio: Path | None = None,
        audio_start_s: float = 0.0,
        audio_end_s: float | None = None,
        audio_stream: int | None = None,
        sound_filter: SoundFilter | None = None,
        metadata: dict[str, str] | None = None,
        alpha: bool = False,
        finish: Callable[[Path], None] | None = None,
        overwrite: bool = False,
    ) -> None:
        if size is not None:
            _check_even(size)
        self._path, self._size = path, size
        self._audio_path, self._range, self._audio_stream = audio, (audio_start_s, audio_end_s), audio_stream
        self._sound_filter = sound_filter
        self._metadata = metadata or {}
        self._alpha = alpha
        self._finish_file = finish
        self._overwrite = overwrite
        self._num_frames = 0
        self._audio: AudioReader | None = None
        self._sound: _SoundEncoder | None = None

    def __enter__(self) -> "FilmWriter":
        """Checks the output path by creating the part file, and opens the driving audio."""
        output_place(self._path)
        refuse_replacing([self._path], [("the driving audio", self._audio_path)])
        self._format = film_format(self._path, alpha=self._alpha)
        if self._audio_path is not None and self._format.sound is None:
            logger.warning("%s will carry no sound, as its format has none; .mp4 and .webm do", self._path)
        with ExitStack() as stack:
            self._part = stack.enter_context(atomic_file(self._path, overwrite=self._overwrite))
            with self._output_errors():
                self._part.touch()
            if self._audio_path is not None:
                self._audio = stack.enter_context(AudioReader(self._audio_path, self._audio_stream))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the video, or removes the part file after an exception."""
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise
        self._stack.close()

    def write(self, picture: Picture | Cutout) -> None:
        """Appends a frame.

        Args:
            picture: RGB, or RGBA if the film has alpha; of the size given to the constructor, or of the first frame. It
                must not be changed afterwards, as the next frame is compared with it.

        Raises:
            InputError: The driving audio is damaged, or the first frame has an odd side.
            OutputError: The disk is full, or the file cannot be written any more.
        """
        height, width = picture.shape[:2]
        if self._size is None:
            _check_even((width, height))
            self._size = width, height
        if (width, height) != self._size:
            raise ValueError(f"a frame of {width} x {height} came for a film of {self._size[0]} x {self._size[1]}")
        if self._num_frames == 0:
            self._open(width, height)
        number = self._num_frames
        self._num_frames += 1
        with self._output_errors():
            for converted in self._convert(picture, number):
                self._container.mux(self._video.encode(converted))
            if self._sound is not None:
                self._sound.write_until(self._num_frames * FRAME_S)

    def _open(self, width: int, height: int) -> None:
        """Opens the container and its streams, once the frame size is known."""
        options = dict(self._format.muxer_options)
        if "movflags" in options and not set(self._metadata) <= _STANDARD_TAGS:
            options["movflags"] += "+use_metadata_tags"
        self._convert = self._format.converter(width, height)
        with self._output_errors():
            # The format is stated because the part file's name has another ending.
            self._container = av.open(str(self._part.absolute()), "w", format=self._format.muxer, options=options)
            self._stack.callback(self._container.close)
            self._container.metadata.update(self._metadata)
            self._video = self._add_video(width, height)
            if self._audio is not None and self._format.sound is not None:
                blocks = self._audio.blocks(*self._range)
                if self._sound_filter is not None:
                    blocks = self._sound_filter(blocks, self._audio.rate_hz)
                self._sound = _SoundEncoder(self._container, self._format.sound, self._audio, blocks)
            # Without this call PyAV writes the header only when x264 returns its first packet, dozens of frames later.
            self._container.start_encoding()

    def _add_video(self, width: int, height: int) -> Any:
        chosen = self._format
        options = dict(chosen.codec_options)
        if chosen.codec == "libx264" and width * height > _LARGE_PIXELS:
            options |= _LARGE_X264
        video: Any = self._container.add_stream(chosen.codec, rate=FRAME_RATE, options=options)
        video.width, video.height = width, height
        video.pix_fmt = chosen.pixel_format
        if chosen.is_yuv:
            context = video.codec_context
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED_RANGE
        return video

    def _finish(self) -> None:
        if self._num_frames == 0:
            raise OutputError(f"{self._path} was not written: there are no frames")
        with self._output_errors():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.write_until((self._num_frames + 1) * FRAME_S)
                self._sound.finish()
            self._container.close()
            if self._format.tag is not None:
                self._format.tag(self._part, self._metadata)
            if self._finish_file is not None:
                self._finish_file(self._part)

    def _discard(self) -> None:
        """Closes everything and removes the part file; errors while closing do not matter any more."""
        with contextlib.suppress(_DiscardedError, FFmpegError, OSError, PcavsError), self._stack:
            raise _DiscardedError

    @contextlib.contextmanager
    def _output_errors(self) -> Generator[None]:
        try:
            yield
        except ExternalError as error:
            raise OutputError(
                f"the encoder of {self._path} failed; free some memory, or give another ending"
            ) from error
        except (FFmpegError, OSError) as error:
            raise_if_out_of_memory(error)
            raise output_error(self._path, error) from error


def _check_even(size: tuple[int, int]) -> None:
    # Chroma is subsampled by two in both directions.
    width, height = size
    if width % 2 or height % 2:
        raise InputError(f"a film's sides must be even, not {width} x {height}; {width & ~1} x {height & ~1} fits")


class _SoundEncoder:
    """Encodes the driving audio, each time only as far as the picture has come."""

    def __init__(self, container: Any, chosen: SoundFormat, reader: AudioReader, blocks: Iterator[Block]) -> None:
        self._container, self._blocks = container, blocks
        self._rate_hz, self._layout = reader.rate_hz, reader.layout
        rate_hz = self._rate_hz if self._rate_hz in chosen.rates_hz else _OTHER_RATE_HZ
        layout = self._layout if self._layout in chosen.layouts else "stereo"
        self._stream = container.add_stream(chosen.codec, rate=rate_hz, layout=layout, options=dict(chosen.options))
        channels = len(self._stream.codec_context.layout.channels)
        self._stream.bit_rate = min(chosen.max_bits_per_s, chosen.bits_per_sample * rate_hz) * channels
        self._position = 0
        self._remainder: Block | None = None

    def write_until(self, time_s: Fraction) -> None:
        """Encodes the samples up to a time from the start of the film; stops early where the audio ends."""
        stop = nearest_index(time_s, self._rate_hz)
        while self._position < stop:
            block = self._remainder if self._remainder is not None else next(self._blocks, None)
            if block is None:
                return
            room = stop - self._position
            self._remainder = block[:, room:] if block.shape[1] > room else None
            self._encode(block[:, :room])

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        self._container.mux(self._stream.encode(None))

    def _encode(self, block: Block) -> None:
        frame = to_audio_frame(block, self._rate_hz, self._layout, self._position)
        self._container.mux(self._stream.encode(frame))
        self._position += block.shape[1]
