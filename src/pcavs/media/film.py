"""Writes the output video of a command frame by frame: H.264 and the driving audio in mp4, complete or not at all."""

import contextlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from pcavs.errors import InputError, OutputError, PcavsError
from pcavs.media.audio import AudioReader, Block, to_audio_frame
from pcavs.media.colour import BT709, LIMITED_RANGE
from pcavs.media.files import atomic_file, output_error, refuse_replacing
from pcavs.media.timeline import FRAME_S, nearest_index
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

_CRF: Final = 16
"""x264 rate factor: nearly transparent, so that compression does not add faults to the face. Chosen by eye."""
_ENCODER_THREADS: Final = 4
"""x264's output depends on the number of threads; a fixed number gives equal files on every machine."""
_AAC_OPTIONS: Final = {"aac_coder": "fast"}
"""The fast coder takes half the time of the default one and, measured at this bit rate, is nearer to the original."""
_AAC_BITS_PER_SAMPLE: Final = 5
"""Bit rate for each channel, in bits a sample; FFmpeg's encoder takes at most 6."""
_AAC_MAX_BITS_PER_S: Final = 96_000
"""Upper limit of the bit rate for each channel."""
_AAC_RATES_HZ: Final = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
"""Sampling rates that AAC has (ISO/IEC 14496-3)."""
_AAC_LAYOUTS: Final = {"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"}
"""Channel layouts that FFmpeg's AAC encoder takes."""
_OTHER_RATE_HZ: Final = 48000
"""Sampling rate for audio whose own rate AAC lacks."""
_STANDARD_TAGS: Final = {"title", "artist", "album", "comment", "date", "genre", "copyright", "description", "encoder"}
"""Metadata names that mp4 stores without custom tags."""


class _DiscardedError(Exception):
    """Raised inside the exit stack of a `FilmWriter` to make `atomic_file` remove the part file."""


class FilmWriter:
    """Writes an mp4 video frame by frame at 25 frames a second; a context manager.

    The video grows in a part file beside its final name (`pcavs.media.files.atomic_file`). It is renamed when it is
    complete, and removed when the block is left by an exception, Ctrl-C included. Entering the block checks the output
    path and the driving audio, so that a bad one fails before any frame is computed.

    Sound and picture are interleaved as frames come, so memory does not grow with the length. The driving audio starts
    with frame 0, keeps its sampling rate and channels, and ends at most 40 ms after the picture. A rate that AAC lacks
    (192 kHz) becomes 48 kHz, a layout that it lacks becomes stereo.

    Args:
        path: The video to write.
        size: Width and height of the frames in pixels, both even; None takes the size of the first frame.
        audio: The driving audio: any file with sound; None writes a silent video.
        audio_start_s: Start of the part of the driving audio to use, in seconds.
        audio_end_s: End of that part, in seconds; None is the end of the file.
        metadata: Tags such as title or comment; other names are stored as custom tags.
        overwrite: Replace an existing file.

    Raises:
        InputError: A side is odd; or, on entering, the audio cannot be read.
        OutputError: On entering: the file exists, or cannot be written there.
    """

    def __init__(  # noqa: PLR0913 - the range belongs to the driving audio
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        *,
        audio: Path | None = None,
        audio_start_s: float = 0.0,
        audio_end_s: float | None = None,
        metadata: dict[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        if size is not None:
            _check_even(size)
        self._path, self._size = path, size
        self._audio_path, self._range = audio, (audio_start_s, audio_end_s)
        self._metadata = metadata or {}
        self._overwrite = overwrite
        # One reformatter for the whole video: `VideoFrame.reformat` would set up a scaler and its threads every time.
        self._reformatter = VideoReformatter()
        self._num_frames = 0
        self._audio: AudioReader | None = None
        self._sound: _SoundEncoder | None = None

    def __enter__(self) -> "FilmWriter":
        """Checks the output path by creating the part file, and opens the driving audio."""
        refuse_replacing([self._path], [("the driving audio", self._audio_path)])
        with ExitStack() as stack:
            self._part = stack.enter_context(atomic_file(self._path, overwrite=self._overwrite))
            with self._output_errors():
                self._part.touch()
            if self._audio_path is not None:
                self._audio = stack.enter_context(AudioReader(self._audio_path))
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

    def write(self, picture: Picture) -> None:
        """Appends a frame.

        Args:
            picture: RGB, of the size given to the constructor or of the first frame's size.

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
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = self._num_frames, Fraction(1, FRAME_RATE)
        self._num_frames += 1
        with self._output_errors():
            self._container.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.write_until(self._num_frames * FRAME_S)

    def _open(self, width: int, height: int) -> None:
        """Opens the container and its streams, once the frame size is known."""
        flags = "+faststart" if set(self._metadata) <= _STANDARD_TAGS else "+faststart+use_metadata_tags"
        with self._output_errors():
            # The format is stated because the part file's name does not end in .mp4.
            self._container = av.open(str(self._part.absolute()), "w", format="mp4", options={"movflags": flags})
            self._stack.callback(self._container.close)
            self._container.metadata.update(self._metadata)
            self._video = self._add_video(width, height)
            if self._audio is not None:
                self._sound = _SoundEncoder(self._container, self._audio, self._audio.blocks(*self._range))
            # Without this call PyAV writes the header only when x264 returns its first packet, dozens of frames later.
            self._container.start_encoding()

    def _add_video(self, width: int, height: int) -> Any:
        video = self._container.add_stream(
            "libx264",
            rate=FRAME_RATE,
            options={"crf": str(_CRF), "preset": "veryfast", "threads": str(_ENCODER_THREADS)},
        )
        video.width, video.height = width, height
        video.pix_fmt = "yuv420p"
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

    def _discard(self) -> None:
        """Closes everything and removes the part file; errors while closing do not matter any more."""
        with contextlib.suppress(_DiscardedError, FFmpegError, OSError, PcavsError), self._stack:
            raise _DiscardedError

    @contextlib.contextmanager
    def _output_errors(self) -> Generator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            raise output_error(self._path, error) from error


def _check_even(size: tuple[int, int]) -> None:
    # Chroma is subsampled by two in both directions.
    width, height = size
    if width % 2 or height % 2:
        raise InputError(f"a film's sides must be even, not {width} x {height}; {width & ~1} x {height & ~1} fits")


class _SoundEncoder:
    """Encodes the driving audio as AAC, each time only as far as the picture has come."""

    def __init__(self, container: Any, reader: AudioReader, blocks: Iterator[Block]) -> None:
        self._container, self._blocks = container, blocks
        self._rate_hz, self._layout = reader.rate_hz, reader.layout
        rate_hz = self._rate_hz if self._rate_hz in _AAC_RATES_HZ else _OTHER_RATE_HZ
        layout = self._layout if self._layout in _AAC_LAYOUTS else "stereo"
        self._stream = container.add_stream("aac", rate=rate_hz, layout=layout, options=_AAC_OPTIONS)
        channels = len(self._stream.codec_context.layout.channels)
        self._stream.bit_rate = min(_AAC_MAX_BITS_PER_S, _AAC_BITS_PER_SAMPLE * rate_hz) * channels
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
