"""Writes a film while its frames are being made: H.264 and the driving audio, complete or not at all."""

import contextlib
import errno
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from pcavs.errors import InputError, OutputError
from pcavs.media.audio import AudioReader, Block, make_frame
from pcavs.media.timeline import FRAME_S, nearest_index
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

_CRF = 16
"""Near transparent; what is lost here a viewer would hold against the talker."""
# A fixed number: x264's choices depend on it, and equal input must give equal frames on every machine.
_ENCODER_THREADS = 4
_BT709 = 1
_LIMITED_RANGE = 1
_AAC_OPTIONS = {"aac_coder": "fast"}
"""Half the time of the default coder, and at this bit rate nearer to the original."""
_AAC_RATES_HZ = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
_AAC_LAYOUTS = {"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"}
_OTHER_RATE_HZ = 48000
_STANDARD_TAGS = {"title", "artist", "album", "comment", "date", "genre", "copyright", "description", "encoder"}


class FilmWriter:
    """Writes an mp4 film frame by frame at 25 a second, as a context manager.

    The film grows in `NAME.part` beside the wanted name, is renamed when it is complete, and is removed when
    the block is left by any exception, Ctrl-C included. Sound and picture are interleaved as they come: memory
    does not grow with the length. The driving audio keeps its rate and channels (AAC takes neither other rates
    than its own, such as 192 kHz, which becomes 48 kHz, nor exotic layouts, which become stereo), starts with
    frame 0, and ends with the picture at the latest 40 ms later.

    Args:
        path: The film to write.
        size: Width and height of the frames, in pixels; both even.
        audio: The driving audio: any file with sound; None makes a silent film.
        audio_start_s: The part of the driving audio to use.
        audio_end_s: None is its end.
        metadata: Tags such as title or comment; other names are stored as custom tags.
        overwrite: Replace an existing film.

    Raises:
        OutputError: The film exists, or cannot be written where it should go.
        InputError: The audio cannot be read, or a side is odd.
    """

    def __init__(  # noqa: PLR0913 - the driving audio's range belongs to the audio
        self,
        path: Path,
        size: tuple[int, int],
        *,
        audio: Path | None = None,
        audio_start_s: float = 0.0,
        audio_end_s: float | None = None,
        metadata: dict[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise InputError(f"a film's sides must be even, not {width} x {height}; {width & ~1} x {height & ~1} fits")
        self._path, self._size = path, size
        self._audio, self._range = audio, (audio_start_s, audio_end_s)
        self._metadata = metadata or {}
        self._overwrite = overwrite
        self._part = path.with_name(path.name + ".part")
        # One for the whole film: a frame's own `reformat` sets up a scaler, with its threads, for every frame.
        self._reformatter = VideoReformatter()
        self._frames = 0
        self._track: _SoundTrack | None = None

    def __enter__(self) -> "FilmWriter":
        """Opens the part file and the driving audio."""
        with self._output_errors():
            self._check_target()
        self._stack = ExitStack()
        try:
            with self._output_errors():
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the film, or removes what there is of it."""
        if kind is not None:
            self._discard()
            return
        try:
            if self._frames == 0:
                raise OutputError(f"{self._path} was not written: no frame came")
            with self._output_errors():
                self._container.mux(self._video.encode(None))
                if self._track is not None:
                    self._track.write_until((self._frames + 1) * FRAME_S)
                    self._track.finish()
                self._container.close()
            self._stack.close()
            with self._output_errors():
                self._part.replace(self._path)
        except BaseException:
            self._discard()
            raise

    def write(self, picture: Picture) -> None:
        """Adds the next frame, RGB, of the size given at the start.

        Raises:
            OutputError: The disk is full or has gone.
            InputError: The driving audio is damaged.
        """
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            raise ValueError(f"a frame of {width} x {height} came for a film of {self._size[0]} x {self._size[1]}")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = self._frames, Fraction(1, FRAME_RATE)
        self._frames += 1
        with self._output_errors():
            self._container.mux(self._video.encode(frame))
            if self._track is not None:
                self._track.write_until(self._frames * FRAME_S)

    def _check_target(self) -> None:
        folder = self._path.parent
        if "\0" in str(self._path):
            raise OutputError(f"{str(self._path)!r} is no name that a file can have; choose another")
        if not folder.is_dir():
            raise OutputError(f"{self._path} cannot be written: {folder} is not a folder; make it or choose another")
        if self._path.is_dir():
            raise OutputError(f"{self._path} is a folder; name the film, such as {self._path / 'talk.mp4'}")
        if not self._path.exists():
            return
        if not self._overwrite:
            raise OutputError(f"{self._path} exists already; choose another name or ask to overwrite it")
        if self._audio is not None and self._audio.exists() and self._audio.samefile(self._path):
            raise OutputError(f"{self._path} is the driving audio itself; choose another name")

    def _open(self) -> None:
        flags = "+faststart" if set(self._metadata) <= _STANDARD_TAGS else "+faststart+use_metadata_tags"
        # The format is named because the file's name ends in .part.
        self._container = av.open(str(self._part.absolute()), "w", format="mp4", options={"movflags": flags})
        self._stack.callback(self._container.close)
        self._container.metadata.update(self._metadata)
        self._video = self._add_video()
        if self._audio is not None:
            reader = self._stack.enter_context(AudioReader(self._audio))
            self._track = _SoundTrack(self._container, reader, reader.blocks(*self._range))
        # Left to itself PyAV opens the file only when x264 gives out its first frame, some dozens later.
        self._container.start_encoding()

    def _add_video(self) -> Any:
        video = self._container.add_stream(
            "libx264",
            rate=FRAME_RATE,
            options={"crf": str(_CRF), "preset": "veryfast", "threads": str(_ENCODER_THREADS)},
        )
        video.width, video.height = self._size
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return video

    def _discard(self) -> None:
        with contextlib.suppress(FFmpegError, OSError, InputError):
            self._stack.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _output_errors(self) -> Generator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            reason = error.strerror or str(error)
            advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose another place"
            raise OutputError(f"{self._path} cannot be written ({reason}); {advice}") from error


class _SoundTrack:
    """The driving audio, encoded only as far as the picture has come."""

    def __init__(self, container: Any, reader: AudioReader, blocks: Iterator[Block]) -> None:
        self._container, self._blocks = container, blocks
        self._rate_hz, self._layout = reader.rate_hz, reader.layout
        rate_hz = self._rate_hz if self._rate_hz in _AAC_RATES_HZ else _OTHER_RATE_HZ
        layout = self._layout if self._layout in _AAC_LAYOUTS else "stereo"
        self._stream = container.add_stream("aac", rate=rate_hz, layout=layout, options=_AAC_OPTIONS)
        # The encoder takes at most 6 bits a sample and channel.
        channels = len(self._stream.codec_context.layout.channels)
        self._stream.bit_rate = min(96_000, 5 * rate_hz) * channels
        self._position = 0
        self._left: Block | None = None

    def write_until(self, time_s: Fraction) -> None:
        stop = nearest_index(time_s, self._rate_hz)
        while self._position < stop:
            block = self._left if self._left is not None else next(self._blocks, None)
            if block is None:
                return
            room = stop - self._position
            self._left = block[:, room:] if block.shape[1] > room else None
            self._encode(block[:, :room])

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def _encode(self, block: Block) -> None:
        frame = make_frame(block, self._rate_hz, self._layout, self._position)
        self._container.mux(self._stream.encode(frame))
        self._position += block.shape[1]
