"""The `Film`, whose frames are rendered on iteration, and the function that builds one.

Files, evaluation and live sessions all build their films here, so that offline and live films are equal.
"""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.animate.backdrop import Backdrop
from pcavs.animate.compose.dub import MouthPaster
from pcavs.animate.compose.label import Label
from pcavs.animate.compose.paste import (
    HeadPaster,
    PasteTarget,
    PhotographTarget,
    Region,
    Territory,
    VideoTarget,
    crop_to_even,
)
from pcavs.animate.compose.shots import Shot
from pcavs.animate.controls import Content, Controls, ControlTrack
from pcavs.animate.head_motion import HeadMotion
from pcavs.animate.identity import Identity
from pcavs.animate.options import Turn
from pcavs.animate.origin import Origin
from pcavs.animate.renderer import Renderer, make_renderer, turns_by_depth
from pcavs.animate.speech_input import SpeechInput
from pcavs.animate.stepper import Stepper
from pcavs.animate.timing import Timing
from pcavs.face.align import apply_transform, invert
from pcavs.face.track import box_of
from pcavs.head.background import Segmenter
from pcavs.head.blink import blink_track
from pcavs.media.files import refuse_replacing
from pcavs.media.film import FilmWriter
from pcavs.media.mel import LazyMel
from pcavs.mouth.pauses import MEL_REACH_FRAMES, STATE_REACH_FRAMES, pause_weights
from pcavs.parallel import in_order, read_ahead
from pcavs.pose.codes import view_reach
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.measure import FaceReport
from pcavs.pose.track import HeadTrack
from pcavs.runtime.base import Runtime
from pcavs.types import Cutout, Mel, Picture

_AHEAD: Final = 2
"""Frames of a video that are decoded, or pasted, while others are rendered."""
_LARGE_PIXELS: Final = 1920 * 1088
"""Pixels of a frame above which frames are computed one after the other: at 4K each takes 25 MB, and more while it is
pasted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundTrack:
    """The part of the driving audio that the film carries."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    """None is the end of the file."""
    stream: int | None = None
    """Number of the audio stream, from 0; None is the one that is marked default, or else the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Settings of a film apart from speech and head motion; the defaults are those of `FilmOptions`."""

    turn: Turn = "depth"
    """What turns the head: `depth` of the landmarks, or the `network`."""
    articulation: float = 1.0
    """Factor on the motion of the lips."""
    pauses: bool = True
    """Brings the mouth to rest in pauses of the speech."""
    blinks: bool = True
    """Makes the eyes blink, if the head turns by depth."""
    seed: int = 0
    """Seed of the blinks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """The inputs of a film, read and encoded: person, speech, head motion and paste target."""

    identity: Identity
    mel: Mel | LazyMel
    """Mel spectrogram of the speech; frame k's window begins at bin 4 k."""
    speech: SpeechInput
    """The driving audio as the talker's speech encoder hears it."""
    num_frames: int
    """floor(25 x samples / 16000 + 1/2), the samples counted at 16 kHz; with `compat="published"`
    (ceil(samples / 160) + 7) // 4 - 4."""
    motion: HeadMotion
    timing: Timing
    expressions: ExpressionTrack | None = None
    """Lids, gaze, brows, cheeks and smile of each frame; None leaves them as they are in the photograph."""
    contents: Float32[np.ndarray, "frames content"] | None = None
    """Content of each frame that was seen in a film; None encodes the speech."""
    paste_target: PasteTarget | None = None
    """The photograph or video that the head is pasted into; None where the film shows the crop."""
    mouth_paster: Callable[[], MouthPaster] | None = None
    """Makes the paster of a dubbed video, which pastes only mouth and chin; None pastes the whole head."""
    backdrop: Backdrop | None = None
    """What is shown behind the person; None shows the photograph's own background."""
    shots: tuple[Shot, ...] = ()
    """Shots of that video; those without the person are left as they are. Empty for photographs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """A film whose inputs are read and encoded; each use of `frames` renders it anew."""

    runtime: Runtime
    scene: Scene
    look: Look
    controls: ControlTrack
    sound: SoundTrack
    tags: dict[str, str]
    """Metadata of the file: that the film is synthetic, and which weights made it."""
    notes: tuple[str, ...] = ()
    """Messages for the user, one line each."""
    segmenter: Segmenter | None = None
    """Separates the person from the background."""
    inputs: tuple[tuple[str, Path], ...] = ()
    """Files that the film is made from, each with what it is; `save` replaces none of them."""
    origin: Origin | None = None
    """What the file says about its origin, in marks and signed credentials; None leaves it unmarked."""
    label: Label | None = None
    """Visible label of every frame; None for none."""
    others: tuple["Film", ...] = ()
    """Films of the other people of the same picture, as long as this one, whose heads are pasted into its frames."""
    workers: int = 1
    """Frames that are rendered at the same time, each in a thread; the frames do not depend on it."""

    @property
    def num_frames(self) -> int:
        """Number of frames; frame k is shown at k/25 s."""
        return self.scene.num_frames

    @property
    def side_px(self) -> int:
        """Side of the square crop that is rendered; it is the whole frame unless `full_frame` is set."""
        return self.scene.identity.picture.shape[0]

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the frames."""
        source = self.scene.identity.source_crop
        if self.scene.paste_target is None or source is None:
            return self.side_px, self.side_px
        height, width = crop_to_even(source.picture).shape[:2]
        return width, height

    @property
    def is_transparent(self) -> bool:
        """Whether frames have an alpha channel."""
        return self.scene.backdrop is not None and self.scene.backdrop.picture is None

    @property
    def offset(self) -> int:
        """Frames by which the picture is ahead of the sound: 0, or 2 with `compat="published"`."""
        return self.scene.timing.offset

    @property
    def identity(self) -> Identity:
        """The person; of a dialogue, the first of its people."""
        return self.scene.identity

    @property
    def head_track(self) -> HeadTrack | None:
        """The head poses in degrees, one row for each frame; None where a network's own codes drive the head."""
        return self.scene.motion.track

    @property
    def faces(self) -> tuple[FaceReport, ...]:
        """In which frames of the pose videos a face was found."""
        return tuple(face for film in (self, *self.others) for face in film.scene.motion.faces)

    @property
    def frames(self) -> Iterator[Picture | Cutout]:
        """Renders the frames, RGB, height x width x 3, from the first on; memory does not grow with their number.

        If the film is transparent, frames are RGBA with straight alpha.
        """
        label = self.label
        return self._pictures() if label is None else (label.blend(picture) for picture in self._pictures())

    def _pictures(self) -> Iterator[Picture | Cutout]:
        """Renders the frames without the label."""
        target = self.scene.paste_target
        if target is None:
            return self.rendered(range(self.num_frames))
        frames = target.frames(self.num_frames)
        shown = [shot.has_person for shot in self.scene.shots for _ in range(shot.first, shot.last + 1)]
        shown += [True] * (self.num_frames - len(shown))
        if self.scene.mouth_paster is not None:
            controls = self.controls.of(range(self.num_frames))
            steps = (control if is_shown else None for control, is_shown in zip(controls, shown, strict=True))
            renderer = self.make_renderer(wide=isinstance(target, PhotographTarget))
            return self._dubbed(renderer, self.scene.mouth_paster(), steps, frames)
        if isinstance(target, VideoTarget):
            frames = read_ahead(frames, self._ahead)
        return self._pasted(range(self.num_frames), frames, shown)

    def _pasted(self, numbers: Sequence[int], frames: Iterable[Picture], shown: Iterable[bool]) -> Iterator[Picture]:
        """Pastes the heads of everybody into frames of the given numbers, except into those without them."""
        # In a photograph the hair outside the crop has to turn with the head; in a video it moves already.
        renderer = self.make_renderer(wide=isinstance(self.scene.paste_target, PhotographTarget))
        people = (self, *self.others)
        regions = [film.face_region for film in people]
        renderers = [renderer, *(film.make_renderer(wide=True) for film in self.others)]
        steppers = [
            Stepper(each, paster=film.head_paster(each, territory_of(number, regions)))
            for number, (film, each) in enumerate(zip(people, renderers, strict=True))
        ]

        def draw(step: tuple[tuple[Controls, ...], Picture, bool]) -> Picture:
            controls, frame, is_shown = step
            for stepper, control in zip(steppers, controls, strict=True) if is_shown else ():
                frame = stepper.draw(control, frame)
            return frame

        width, height = self.size_px
        controls = zip(*(film.controls.of(numbers) for film in people), strict=True)
        steps = zip(controls, frames, shown, strict=True)
        return in_order(draw, steps, 1 if width * height > _LARGE_PIXELS else self.workers)

    def _dubbed(
        self, renderer: Renderer, paster: MouthPaster, steps: Iterable[Controls | None], frames: Iterator[Picture]
    ) -> Generator[Picture]:
        """Renders heads and pastes their mouths into the frames of a video, except where there are no controls.

        Decoding and tracking of the video, rendering, and tracking and pasting of the heads run in threads of their
        own.
        """

        def draw(control: Controls | None) -> Picture | None:
            return None if control is None else renderer.frame(control)

        heads = in_order(draw, steps, self.workers)
        followed = read_ahead(((frame, paster.follow(frame)) for frame in frames), self._ahead)

        def pasted() -> Generator[Picture]:
            for head, (frame, mesh) in zip(heads, followed, strict=True):
                if head is None:
                    paster.end_shot()
                    yield frame
                else:
                    yield paster.paste(head, frame, mesh)

        return read_ahead(pasted(), self._ahead)

    @property
    def _ahead(self) -> int:
        return _AHEAD if self.workers > 1 else 0

    def rendered(self, frames: Sequence[int]) -> Iterator[Picture | Cutout]:
        """Renders the crop of some frames, not pasted into photograph or video."""
        view = self.scene.motion.view
        renderer = self.make_renderer(wide=view is not None and view_reach(view) > 0)
        stepper = Stepper(renderer, view=view, backdrop=self.scene.backdrop)
        return in_order(stepper.draw, self.controls.of(frames), self.workers)

    def moments(self, frames: Sequence[int]) -> Iterator[Picture | Cutout]:
        """Renders some frames: of a dialogue the whole picture with everybody, of other films the crop."""
        target = self.scene.paste_target
        if not self.others or target is None:
            return self.rendered(frames)
        return self._pasted(frames, target.frames(len(frames)), [True] * len(frames))

    def make_renderer(self, *, wide: bool = False) -> Renderer:
        """Prepares the renderer of this film; `wide` frames include a margin around the crop."""
        return make_renderer(
            self.runtime,
            self.identity,
            self.look.turn,
            wide=wide,
            segmenter=self.segmenter,
            silence=self.controls.silence() if turns_by_depth(self.runtime, self.look.turn) else None,
            matte=None if self.scene.backdrop is None else self.scene.backdrop.matte,
        )

    @property
    def face_region(self) -> Region:
        """Where the face is in the whole picture."""
        source = self.identity.source_crop
        assert source is not None
        box = box_of(apply_transform(invert(source.transform), self.identity.mesh[None])[0]).astype(np.float64)
        return Region((box[:2] + box[2:]) / 2, float(np.hypot(*(box[2:] - box[:2]))) / 2)

    def head_paster(self, renderer: Renderer, territory: Territory | None = None) -> HeadPaster:
        """Prepares what pastes this person's head into the whole picture.

        Args:
            renderer: Renders the head.
            territory: The part of the picture that belongs to the person; None if nobody else in it moves.
        """
        source = self.identity.source_crop
        assert source is not None
        own = renderer.frame(Controls(self._own_content(), self.scene.motion.own))
        return HeadPaster(source.widened(renderer.margin_px), self.side_px + 2 * renderer.margin_px, own, territory)

    def _own_content(self) -> Content:
        """Returns the photograph's own content.

        `paper` talkers do not encode it; for them it is the content of the first frame's speech.
        """
        content = self.identity.codes.content
        return content if len(content) else self.runtime.encode_speech(self.scene.speech.windows(range(1)))[0]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Renders the film and writes it as mp4 with its sound; the file appears complete or not at all.

        Raises:
            OutputError: The film exists already, is one of the inputs, or cannot be written.
        """
        path = Path(path)
        refuse_replacing([path, None if self.origin is None else self.origin.log], self.inputs)
        with open_writer(
            path, self.size_px, self.sound, self.tags, self.origin, overwrite, alpha=self.is_transparent
        ) as writer:
            for frame in self.frames:
                writer.write(frame)
        return path


def territory_of(number: int, regions: Sequence[Region]) -> Territory | None:
    """Returns what belongs to one of several people in a picture; None to one who is alone."""
    others = tuple(region for at, region in enumerate(regions) if at != number)
    return Territory(regions[number], others) if others else None


def build_film(  # noqa: PLR0913 - scene, look, and the contents of the file
    runtime: Runtime,
    scene: Scene,
    look: Look,
    sound: SoundTrack,
    tags: dict[str, str],
    *,
    notes: Sequence[str] = (),
    segmenter: Segmenter | None = None,
) -> Film:
    """Builds a film: combines speech, pauses, blinks and head motion into controls.

    Args:
        runtime: The talker's networks.
        scene: Person, speech and head motion.
        look: The other settings.
        sound: The audio that the film's file carries.
        tags: Metadata of the file.
        notes: Messages for the user, which come before those of identity and head motion.
        segmenter: Segments the person, so that the background holds still; None lets the background near the head move
            with it.
    """
    reach = MEL_REACH_FRAMES if runtime.features is None else STATE_REACH_FRAMES
    controls = ControlTrack(
        runtime,
        scene.timing,
        scene.speech,
        scene.motion.poses,
        articulation=look.articulation,
        pauses=pause_weights(scene.mel, scene.num_frames, reach) if look.pauses else None,
        eyelids=blink_track(scene.num_frames, look.seed) if look.blinks and not scene.motion.moves_lids else None,
        expressions=scene.expressions,
        contents=scene.contents,
    )
    notes = (*notes, *scene.identity.notes, *scene.motion.notes)
    return Film(
        runtime=runtime,
        scene=scene,
        look=look,
        controls=controls,
        sound=sound,
        tags=tags,
        notes=notes,
        segmenter=segmenter,
    )


def open_writer(  # noqa: PLR0913 - each belongs to the file
    path: Path,
    size_px: tuple[int, int] | None,
    sound: SoundTrack,
    tags: dict[str, str],
    origin: Origin | None,
    overwrite: bool,
    *,
    alpha: bool = False,
) -> FilmWriter:
    """Returns the writer of a film; without a size, it takes that of the first frame."""
    return FilmWriter(
        path,
        size_px,  # pyright: ignore[reportArgumentType]
        audio=sound.path,
        audio_start_s=sound.start_s,
        audio_end_s=sound.end_s,
        audio_stream=sound.stream,
        sound_filter=None if origin is None else origin.sound_filter,
        finish=None if origin is None else origin.finisher(path),
        metadata=tags,
        alpha=alpha,
        overwrite=overwrite,
    )
