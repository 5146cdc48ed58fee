"""The loaded talker: `pcavs.load()` returns one, and `Talker.animate` makes films with it."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Unpack

import numpy as np

import pcavs
from pcavs.animate.avatar import Avatar, SessionSettings
from pcavs.animate.backdrop import Backdrop, read_backdrop
from pcavs.animate.compose.dub import MouthPaster
from pcavs.animate.compose.label import Label, draw_label
from pcavs.animate.compose.paste import PasteTarget, VideoTarget, open_paste_target
from pcavs.animate.compose.shots import SHOT_SIDE_PX, ShotFinder, ShotFollower, shot_note
from pcavs.animate.controls import Content, ContentEncoder
from pcavs.animate.dialogue import people_options
from pcavs.animate.dialogue_sound import DialogueSound, dialogue_sound
from pcavs.animate.face_choice import read_choice
from pcavs.animate.film import Film, Look, Scene, SoundTrack, build_film
from pcavs.animate.head_motion import HeadMotionReader
from pcavs.animate.identity import FaceReader, Identity, read_identities
from pcavs.animate.inputs import input_files
from pcavs.animate.live_head import LiveHead, read_motion
from pcavs.animate.live_speech import Loudness, SpeechSetup, Voice, ahead_frames, check_loudness, silence_of
from pcavs.animate.mouth_source import encode_mouth
from pcavs.animate.options import AnimateOptions, Compat, Corner, FilmOptions, LookAt, Marks, Turn, face_film
from pcavs.animate.origin import Origin, film_origin
from pcavs.animate.performance import expressions_of
from pcavs.animate.renderer import DepthRenderer, make_renderer, turns_by_depth
from pcavs.animate.session import Person, Session
from pcavs.animate.speech_input import speech_input
from pcavs.animate.timing import choose_timing
from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.head.background import Segmenter
from pcavs.head.blink import endless_blinks
from pcavs.head.grid import margin_px
from pcavs.media.audio import stream_notes
from pcavs.media.files import check_readable
from pcavs.media.speech import FeatureStream, MelStream, Speech
from pcavs.media.still import is_still
from pcavs.mouth.inside import OwnTeeth
from pcavs.pose.calibration import PoseMap
from pcavs.runtime.base import Runtime
from pcavs.spec import Missing
from pcavs.types import Progress

_KEPT_SIDE_PX: Final = 2048
"""Longer side up to which a whole photograph is kept in memory; of larger ones only what the film shows is kept."""


def no_progress(*_: object) -> None:
    """Ignores progress; used where no progress callback is given."""


class Talker:
    """A talker ready to animate: loaded once by `pcavs.load`, used for any number of films."""

    def __init__(  # noqa: PLR0913 - the parts, already built
        self,
        runtime: Runtime,
        landmarker: FaceLandmarker,
        name: str,
        digest: str,
        calibration: PoseMap | None = None,
        *,
        segmenter: Segmenter | None = None,
        teeth: OwnTeeth | None = None,
        workers: int = 1,
    ) -> None:
        """Stores the parts, which `load.load_talker` builds.

        Args:
            runtime: The talker's networks.
            landmarker: Finds faces and their landmarks.
            name: Name of the weights.
            digest: SHA-256 of the weights.
            calibration: Measured map from rotations of the pose code to rotations of the face, if there is one.
            segmenter: Segments people, so that backgrounds hold still; None lets the background near the head move with
                it.
            teeth: Teeth of the person whose weights these are; None draws everybody's.
            workers: Frames of a film that are rendered at the same time where its settings do not say.
        """
        self.runtime = runtime
        self._workers, self._teeth = workers, teeth
        self.name, self.digest, self.segmenter = name, digest, segmenter
        self._landmarker, self._calibration = landmarker, calibration

    def animate(  # noqa: PLR0913 - every setting is an argument, so that an editor completes it
        self,
        identity: str | Path,
        audio: str | Path | None = None,
        pose: str | Path | None = None,
        *,
        dialogue: str | Path | None = None,
        performance: str | Path | None = None,
        eyes: str | None = None,
        brows: str | None = None,
        mouth: str | None = None,
        relative: bool = False,
        references: Sequence[str | Path] = (),
        turn: Turn = "depth",
        face: str = "largest",
        outside: bool = False,
        pose_face: str = "largest",
        gaze: str | None = None,
        look: LookAt = "head",
        smile: float = 0.0,
        missing: Missing = "interpolate",
        background: str | None = None,
        full_frame: bool = False,
        loop: bool = False,
        max_side: int = 4096,
        gate: float | None = None,
        articulation: float = 1.0,
        size: int | None = None,
        start: float = 0.0,
        end: float | None = None,
        audio_stream: int | None = None,
        no_blinks: bool = False,
        seed: int = 0,
        workers: int | None = None,
        compat: Compat | None = None,
        marks: Marks = "all",
        label: str | None = None,
        label_corner: Corner = "bottom-right",
        label_font: str | Path | None = None,
        sign_with: tuple[Path, Path] | None = None,
        tsa: str | None = None,
        consent: str | Path | None = None,
        log: str | Path | None = None,
    ) -> Film:
        """Makes a picture speak: reads and encodes all inputs; frames are rendered when they are iterated over.

        Args:
            identity: Picture of the person, or a video, of which the first frame is taken.
            audio: Driving audio: any file with sound. The film carries it. None only with a dialogue.
            pose: Head motion: a video to follow, a timeline (.json), a saved track (.npz), a preset's name, or
                degrees such as "yaw=20,pitch=-5". What is shorter than the speech is played forwards and backwards.
                None keeps the picture's pose.
            dialogue: Lines and people (.json, docs/formats.md) where several faces of the picture speak in turn. The
                film shows the whole picture and carries the mix of their voices.
            performance: A film of anybody, or its saved track, that lends head, eyes, brows and smile.
            eyes: Lids and gaze: those of a film or saved track, "speech" (generated), or "photo" (open, still).
            brows: Brows and smile: those of a film or saved track, "speech" (generated), or "photo".
            mouth: What moves the mouth: "speech", or a film, whose mouth is followed as it is seen.
            relative: Starts from the picture's own pose and takes only the changes of the pose source.
            references: More pictures of the same person, in any order; the most typical of the sharp, frontal ones is
                animated.
            turn: "depth" turns the photograph by the depth of its landmarks, "network" by the talker's network.
            face: Which face to animate if the picture shows several: "largest", "left", "right", a number from the
                left, or the path of a picture of the person.
            outside: Lets a timeline name files outside of its own folder.
            pose_face: Which face to follow if a pose video shows several.
            gaze: Where the eyes look, in degrees away from the picture's gaze: to the picture's right, then up, such
                as "10,-5" or "yaw=10"; up to 35 and 25.
            look: What the eyes hold on to while the head turns: "head", or "camera", which keeps them where they look
                in the picture.
            smile: How far the corners of the mouth are drawn out and up, and the cheeks with them, -0.5 (down) to 1.
            missing: Frames of a pose video without a face: "interpolate", "hold", "skip" or "fail".
            background: What is behind the person instead of the picture's own background: a colour as CSS writes it,
                the path of a picture, or "transparent", which makes frames RGBA with straight alpha.
            full_frame: Pastes the head into the whole picture; a video of the person is dubbed.
            loop: Repeats a video that is dubbed if it is shorter than the speech.
            max_side: Longer side of such a film, 256 to 8192; larger pictures are reduced.
            gate: Level in dB against the speech's own, -90 to -10, below which sound counts as silence; None removes
                nothing.
            articulation: How far speech moves the lips, 0.4 to 1.6.
            size: Side of the film in pixels, even, 32 to 2048; None is the size that the weights were made for.
            start: Start of the part of the audio to use, in seconds.
            end: End of that part, in seconds; None is the end of the audio.
            audio_stream: Which stream of the audio is heard if it has several, counted from 0; None is the one that is
                marked default, or else the first.
            no_blinks: Keeps the eyes open.
            seed: Seed of the blinks.
            workers: Frames that are rendered at the same time, 1 to 64; films do not depend on it. None is one for each
                processor, up to 8.
            compat: "published" reproduces the timing and alignment of the published code; `paper` talkers only.
            marks: Inaudible marks that say that the film is synthetic: "all", "audio" or "none".
            label: Text of a visible label on every frame, such as "AI-generated"; None draws none.
            label_corner: Corner that the label is in: "bottom-right", "bottom-left", "top-right" or "top-left".
            label_font: Font of the label (.ttf, .otf); None takes one for ASCII characters only.
            sign_with: Certificate chain and private key, both PEM, to sign the film with; None takes the user's own.
            tsa: Address of a time stamp authority; None uses no network.
            consent: Record of the person's consent, whose digest goes into the credentials.
            log: Log to which digests and fingerprints of the film are appended when it is saved.

        Raises:
            InputError: A file or a setting cannot be used.
        """
        return self.film(
            FilmOptions(
                identity=Path(identity),
                audio=None if audio is None else Path(audio),
                dialogue=None if dialogue is None else Path(dialogue),
                pose=None if pose is None else Path(pose),
                performance=None if performance is None else Path(performance),
                eyes=eyes,
                brows=brows,
                mouth=mouth,
                relative=relative,
                references=tuple(Path(each) for each in references),
                turn=turn,
                face=face,
                outside=outside,
                pose_face=pose_face,
                gaze=gaze,
                look=look,
                smile=smile,
                missing=missing,
                background=background,
                full_frame=full_frame,
                loop=loop,
                max_side=max_side,
                gate=gate,
                articulation=articulation,
                size=size,
                start=start,
                end=end,
                audio_stream=audio_stream,
                no_blinks=no_blinks,
                seed=seed,
                workers=workers,
                compat=compat,
                marks=marks,
                label=label,
                label_corner=label_corner,
                label_font=None if label_font is None else Path(label_font),
                sign_with=sign_with,
                tsa=tsa,
                consent=None if consent is None else Path(consent),
                log=None if log is None else Path(log),
            )
        )

    def session(  # noqa: PLR0913 - every setting is an argument, so that an editor completes it
        self,
        photo: str | Path | Person,
        *,
        pose: str | Path | np.ndarray | None = "idle",
        face: str = "largest",
        turn: Turn = "depth",
        size: int | None = None,
        background: str | None = None,
        look_ahead: float = 0.28,
        loudness: Loudness = "running",
        articulation: float = 1.0,
        no_blinks: bool = False,
        seed: int = 0,
        marks: Marks = "all",
        label: str | None = None,
        label_corner: Corner = "bottom-right",
        label_font: str | Path | None = None,
    ) -> Session:
        """Opens a live session: speech is pushed as it is spoken, and frames come out as soon as they can be made.

        Sessions of one talker share its networks. Settings that films have too are described there.

        Args:
            photo: Picture of the person, or `Session.person` of another session: then nothing is read again, and
                `face`, `turn`, `size` and `background` have no effect.
            pose: Head motion: a preset's name, angles such as "yaw=20,pitch=-5", a saved track (.npz), a timeline
                (.json) of keyframes and tracks, rows of a head track, or None for the picture's own pose. "idle"
                breathes and looks about, "natural" moves brows, eyes and lids as well. `Session.pose` changes it later.
            face: Which face to animate if the picture shows several.
            turn: "depth" or "network".
            size: Side of the frames in pixels; None is the size that the weights were made for.
            background: What is behind the person, as in `animate`.
            look_ahead: Sound after a frame's start, in seconds, that is heard before the frame is made, 0.08 to 1.
                With 0.36 and more the lips are those of films; less is sooner.
            loudness: "running" knows the speech so far; a number is the level of the speech in dB against full scale,
                -60 to 0; "whole" makes the frames of a film, once an utterance is complete.
            articulation: How far speech moves the lips, 0.4 to 1.6.
            no_blinks: Keeps the eyes open.
            seed: Seed of blinks and head motion.
            marks: Inaudible marks in the sound that comes back: "all", "audio" or "none".
            label: Text of a visible label on every frame; None draws none.
            label_corner: Corner that the label is in.
            label_font: Font of the label.

        Raises:
            InputError: The picture or a setting cannot be used.
        """
        if self.runtime.spec.kind != "flow":
            raise InputError("paper talkers are too slow for live sessions; load the weights of a flow talker")
        options = FilmOptions(
            identity=Path() if isinstance(photo, Person) else Path(photo),
            face=face,
            turn=turn,
            size=size,
            background=background,
            articulation=articulation,
            seed=seed,
            marks=marks,
            label=label,
            label_corner=label_corner,
            label_font=None if label_font is None else Path(label_font),
        )
        check_loudness(loudness)
        frames = ahead_frames(look_ahead, self.runtime)
        motion = read_motion(pose, seed, self._landmarker)
        silence = silence_of(self.runtime)
        person = photo if isinstance(photo, Person) else self._person(options, silence)
        by_depth = isinstance(person.renderer, DepthRenderer)
        return Session(
            person=person,
            speech=SpeechSetup(
                self.runtime,
                ContentEncoder(self.runtime, articulation, silence),
                frames,
                is_whole=loudness == "whole",
                is_marked=marks != "none",
            ),
            voice=Voice(self.runtime.spec.mel, loudness),
            silence=silence,
            head=LiveHead(person.identity, motion, by_depth=by_depth, calibration=self._calibration),
            blinks=None if no_blinks else endless_blinks(seed),
            landmarker=self._landmarker,
            seed=seed,
            label=_label(options, (person.identity.picture.shape[0],) * 2),
        )

    def live(
        self, photo: str | Path | Person, *, buffer_frames: int = 3, **settings: Unpack[SessionSettings]
    ) -> Avatar:
        """Returns a live session for asyncio, which renders in a thread of its own at 25 frames a second.

            async with talker.live("face.jpg") as avatar:
                await avatar.push_audio(pcm, 24_000)
                async for frame in avatar.run(): ...

        Args:
            photo: As in `session`.
            buffer_frames: Pictures that may wait for the consumer, 1 to 250; older ones are dropped, and their sound is
                kept.
            settings: Those of `session`. What is wrong with them is raised when the avatar is opened.

        Raises:
            InputError: `buffer_frames` cannot be used.
        """
        return Avatar(functools.partial(self.session, photo, **settings), buffer_frames=buffer_frames)

    def _person(self, options: FilmOptions, silence: Content) -> Person:
        """Reads the photograph of a live session, and prepares what draws it."""
        check_readable(options.identity)
        reader = self.face_reader(options)
        policy = dataclasses.replace(reader.timing.policy, choice=read_choice(options.face, reader))
        identity = self._identity(options, reader._replace(policy=policy))
        backdrop = self._backdrop(options, identity)
        renderer = make_renderer(
            self.runtime,
            identity,
            options.turn,
            segmenter=self.segmenter,
            silence=silence,
            matte=None if backdrop is None else backdrop.matte,
        )
        return Person(identity, renderer, backdrop)

    def film(self, options: FilmOptions, progress: Progress = no_progress, sound: SoundTrack | None = None) -> Film:
        """Reads and encodes all inputs of a film; its frames are rendered when they are iterated over.

        Args:
            options: Settings of the film.
            progress: Called while pose videos are read.
            sound: What `sound` returned for these options, if it was called before.

        Raises:
            InputError: A file or a setting cannot be used.
        """
        for _, path in input_files(options):
            check_readable(path)
        sound = self.sound(options) if sound is None else sound
        film = (
            self._dialogue_film(options, sound, progress)
            if isinstance(sound, DialogueSound)
            else self._person_film(options, sound, None, progress)
        )
        return dataclasses.replace(
            film,
            inputs=tuple(input_files(options)),
            origin=self.origin(options),
            label=_label(options, film.size_px),
            workers=options.workers or self._workers,
        )

    def sound(self, options: FilmOptions) -> SoundTrack:
        """Returns the sound that a film carries: a part of the driving audio, or the mix of a dialogue.

        Raises:
            InputError: There is none, or a dialogue cannot be used.
        """
        if options.dialogue is None:
            return sound_track(options)
        voices = options.voices if isinstance(options, AnimateOptions) else None
        return dialogue_sound(options, self.runtime.spec.mel, voices)

    def _dialogue_film(self, options: FilmOptions, sound: DialogueSound, progress: Progress) -> Film:
        """Reads and encodes every person of a dialogue.

        Raises:
            InputError: A person's settings or face cannot be used.
        """
        if not is_still(options.identity):
            raise InputError(f"{options.identity} is a video; a dialogue animates the people of a photograph")
        people = people_options(options, sound.dialogue)
        films = [
            self._person_film(person, sound, speech, progress)
            for person, speech in zip(people, sound.speeches, strict=True)
        ]
        regions = [film.face_region for film in films]
        for (one, first), (other, second) in itertools.combinations(zip(people, regions, strict=True), 2):
            if np.hypot(*(first.centre - second.centre)) < min(first.radius_px, second.radius_px):
                raise InputError(
                    f"{options.dialogue}: faces {one.face} and {other.face} are the same; give each one name"
                )
        notes = tuple(dict.fromkeys([*sound.notes, *(note for film in films for note in film.notes)]))
        return dataclasses.replace(films[0], others=tuple(films[1:]), notes=notes)

    def _person_film(self, options: FilmOptions, sound: SoundTrack, speech: Speech | None, progress: Progress) -> Film:
        """Reads and encodes the inputs of one person.

        Args:
            options: Settings of the person.
            sound: What the film carries.
            speech: What the person says; None is the sound.
            progress: Called while pose videos are read.
        """
        spec, reader = self.runtime.spec, self.face_reader(options)
        timing = reader.timing
        motion_reader = HeadMotionReader(options, reader, self._calibration)
        notes: list[str] = []
        if speech is None:
            speech = Speech(sound.path, options.start, options.end, spec.mel, options.gate, sound.stream)
            notes += [f"{sound.path} is silent; the mouth will follow silence"] if speech.stats.is_silent else []
            notes += stream_notes(sound.path, sound.stream)
        num_frames = timing.count_frames(speech.stats.num_samples, spec.mel)
        mel = MelStream(speech, num_frames, timing.lead_bins)
        policy = dataclasses.replace(timing.policy, choice=read_choice(options.face, reader))
        identity = self._identity(options, reader._replace(policy=policy))
        backdrop = self._backdrop(options, identity)
        paste_target = open_paste_target(options, identity, num_frames)
        if isinstance(paste_target, VideoTarget):
            notes += paste_target.notes
        shots = self._shots(options, policy, paste_target, num_frames, progress)
        notes += [] if shots is None else shot_note(shots.shots(), options.identity.name)
        motion = motion_reader.read(identity, mel, num_frames, progress)
        expressions = None
        if turns_by_depth(self.runtime, options.turn):
            expressions = expressions_of(options, motion.expression, motion.poses, identity.own_deg, num_frames)
        mouth = face_film("mouth", options.mouth)
        seen = None if mouth is None else encode_mouth(mouth, num_frames, reader, progress)
        notes += () if seen is None else seen.notes
        scene = Scene(
            identity=identity,
            mel=mel,
            speech=speech_input(self.runtime, mel, functools.partial(FeatureStream, speech)),
            num_frames=num_frames,
            motion=motion,
            timing=timing,
            expressions=expressions,
            contents=None if seen is None else seen.contents,
            paste_target=paste_target,
            backdrop=backdrop,
            mouth_paster=self._mouth_paster(options, shots, paste_target),
            shots=() if shots is None else tuple(shots.shots()),
        )
        look = Look(
            turn=options.turn,
            articulation=options.articulation,
            pauses=options.compat is None,
            blinks=not options.no_blinks,
            seed=options.seed,
        )
        return build_film(self.runtime, scene, look, sound, self.tags(options), notes=notes, segmenter=self.segmenter)

    def origin(self, options: FilmOptions) -> Origin:
        """Returns what a film of these settings says about its origin, in marks and credentials.

        Raises:
            InputError: The consent record cannot be used.
        """
        return film_origin(options, self.name, self.digest, self.tags(options)["title"])

    def face_reader(self, options: FilmOptions) -> FaceReader:
        """Returns the face reader for the settings of a film."""
        timing = choose_timing(options.compat, self.runtime.spec)
        return FaceReader(self.runtime, self._landmarker, timing, keeps_alpha=options.background is not None)

    def _backdrop(self, options: FilmOptions, identity: Identity) -> Backdrop | None:
        """Reads what is shown behind the person; None keeps the photograph's own background."""
        if options.background is None:
            return None
        if not turns_by_depth(self.runtime, options.turn):
            raise InputError(f"{self.name} does not tell the person from the background; leave background out")
        return read_backdrop(options.background, identity, options.identity.name, self.segmenter)

    def _identity(self, options: FilmOptions, reader: FaceReader) -> Identity:
        """Reads the photographs of the person; only whole pictures keep what lies around the crop."""
        paths = (options.identity, *options.references)
        if options.full_frame:
            identity = read_identities(paths, None, reader._replace(max_side_px=options.max_side))
            return identity._replace(teeth=self._teeth)
        side_px = options.size or self.runtime.spec.sizes.picture_px
        identity = read_identities(paths, side_px, reader)._replace(teeth=self._teeth)
        source = identity.source_crop
        if source is None or max(source.picture.shape) <= _KEPT_SIDE_PX:
            return identity
        return identity._replace(source_crop=source.trimmed(side_px, margin_px(side_px)))

    def _shots(
        self,
        options: FilmOptions,
        policy: TrackPolicy,
        target: PasteTarget | None,
        num_frames: int,
        progress: Progress,
    ) -> ShotFinder | None:
        """Finds the shots of a video of the person; None for photographs."""
        if not isinstance(target, VideoTarget):
            return None
        finder = ShotFinder(self._landmarker, self.runtime.spec.crop, TrackPolicy(choice=policy.choice))
        for number, frame in enumerate(target.small_frames(num_frames, SHOT_SIDE_PX), start=1):
            finder.step(frame)
            progress("finding the person", min(number, num_frames), num_frames)
        return finder

    def _mouth_paster(
        self, options: FilmOptions, shots: ShotFinder | None, paste_target: PasteTarget | None
    ) -> Callable[[], MouthPaster] | None:
        """Returns a function that makes a mouth paster if a video of the person is dubbed, None otherwise."""
        if options.pose is not None or shots is None or not isinstance(paste_target, VideoTarget):
            return None

        def follow() -> FaceFollower:
            return FaceFollower(self._landmarker, TrackPolicy(choice=shots.person), options.identity.name)

        def make() -> MouthPaster:
            video = ShotFollower(shots.shots(), follow)
            # Networks of their own, because those of one landmarker locate one face at a time.
            return MouthPaster(video, FaceFollower(FaceLandmarker(), TrackPolicy(), "a rendered head"))

        return make

    def tags(self, options: FilmOptions) -> dict[str, str]:
        """Returns the film's metadata: that it is synthetic, and with which version, weights and seed it was made.

        No setting removes these tags.
        """
        made_by = (
            f"pcavs {pcavs.__version__}",
            f"weights {self.name} sha256:{self.digest}",
            f"seed {options.seed}",
            choose_timing(options.compat, self.runtime.spec).remark,
        )
        comment = f"Synthetic: a computer made this face speak. {', '.join(filter(None, made_by))}"
        return {"title": "Synthetic talking face", "comment": comment}


def sound_track(options: FilmOptions) -> SoundTrack:
    """Returns the part of the driving audio that a film carries.

    Raises:
        InputError: There is no driving audio.
    """
    if options.audio is None:
        raise InputError("there is no driving audio; give a file with sound, or a dialogue")
    return SoundTrack(path=options.audio, start_s=options.start, end_s=options.end, stream=options.audio_stream)


def _label(options: FilmOptions, size_px: tuple[int, int]) -> Label | None:
    if options.label is None:
        return None
    return draw_label(options.label, options.label_corner, size_px, options.label_font)
