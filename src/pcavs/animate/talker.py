"""A loaded talker and the one call that makes films with it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pcavs
from pcavs.animate.compose.dub import MouthPaster
from pcavs.animate.compose.paste import Backdrop, FilmBackdrop, evened, open_backdrop, side_for
from pcavs.animate.face_choice import read_choice
from pcavs.animate.film import Film, SoundTrack
from pcavs.animate.head_motion import HeadMotionReader
from pcavs.animate.identity import FaceReader, Identity, read_identities
from pcavs.animate.options import Device, FilmOptions, verify
from pcavs.animate.timing import choose_timing
from pcavs.errors import InputError, unknown_setting
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.person import PersonSegmenter
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.head.background import People
from pcavs.head.blink import blink_track
from pcavs.head.warp import depth_turn_map
from pcavs.media.image import read_picture
from pcavs.media.speech import MelStream, Speech
from pcavs.mouth.pauses import rest_share
from pcavs.pose.calibration import PoseMap, find_map
from pcavs.runtime.base import Runtime
from pcavs.runtime.openvino import OpenVinoRuntime
from pcavs.types import Progress
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import read_networks
from pcavs.weights.shelf import Weights, find_weights

_NEEDS_TORCH = 'needs torch; pip install "pcavs[train]"'


def _nobody(doing: str, done: int, total: int) -> None:
    """Watches nothing."""


class Talker:
    """A talker ready to animate; made by `pcavs.load`, loaded once and used for any number of films."""

    def __init__(
        self,
        runtime: Runtime,
        landmarker: FaceLandmarker,
        name: str,
        digest: str,
        poses: PoseMap | None = None,
        people: People | None = None,
    ) -> None:
        """Takes its parts already built.

        Args:
            runtime: The talker.
            landmarker: Finds faces.
            name: Of the weights.
            digest: SHA-256 of the weights.
            poses: How far the talker really turns a head, where that was measured.
            people: Tells people from backgrounds, which hold still then.
        """
        self.runtime = runtime
        self.name, self.digest, self.people = name, digest, people
        self._landmarker, self._poses = landmarker, poses

    def animate(self, identity: str | Path, audio: str | Path, pose: str | Path | None = None, **choices: Any) -> Film:
        """Makes a picture speak.

        Args:
            identity: Picture of the person, or a film, of which the first frame is taken.
            audio: Any file with sound.
            pose: Film whose head motion is borrowed, a timeline, a track, a preset's name or degrees; None holds the
                picture's own pose.
            choices: The other settings of `FilmOptions`.

        Raises:
            InputError: A file cannot be used, or there is no such setting.
        """
        known = {field.name for field in dataclasses.fields(FilmOptions)}
        for name in choices.keys() - known:
            raise InputError(unknown_setting(name, known))
        place = None if pose is None else Path(pose)
        choices["references"] = tuple(Path(each) for each in choices.get("references", ()))
        return self.film(FilmOptions(identity=Path(identity), audio=Path(audio), pose=place, **choices))

    def film(self, options: FilmOptions, progress: Progress = _nobody) -> Film:
        """Encodes everything that a film needs; its frames are rendered when they are asked for.

        Raises:
            InputError: A file or a setting cannot be used.
        """
        verify(options)
        spec = self.runtime.spec
        timing = choose_timing(options.compat, spec)
        motion = HeadMotionReader(options, self.eyes(options), self._turns(options), progress)
        sound = self.sound(options)
        speech = Speech(sound.path, options.start, options.end, spec.mel, options.gate)
        num_frames = timing.count_frames(speech.stats.num_samples, spec.mel)
        notes = [f"{sound.path} is silent; the mouth will follow silence"] if speech.stats.is_silent else []
        mel = MelStream(speech, num_frames, timing.lead_bins)
        side_px = self.side_px(options)
        identity = self._identity(options, side_px)
        backdrop = open_backdrop(options, identity, num_frames)
        moved = motion.read(identity, mel, num_frames)
        return Film(
            num_frames=num_frames,
            side_px=side_px,
            notes=(*notes, *identity.notes, *moved.notes),
            sound=sound,
            tags=self.tags(options),
            identity=identity,
            poses=moved.codes,
            mel=mel,
            runtime=self.runtime,
            timing=timing,
            view=moved.view,
            backdrop=backdrop,
            dubbed=self._dubbed(options, backdrop),
            heads=moved.asked,
            faces=moved.faces,
            size_px=self.size_px(options),
            turn=options.turn,
            people=self.people,
            articulation=options.articulation,
            rest=rest_share(mel, num_frames) if options.compat is None else None,
            closed=None if options.no_blinks else blink_track(num_frames, options.seed),
        )

    def _dubbed(self, options: FilmOptions, backdrop: Backdrop | None) -> Callable[[], MouthPaster] | None:
        """What puts mouths into a film of the person whose head stays where it is."""
        if options.pose is not None or not isinstance(backdrop, FilmBackdrop):
            return None
        eyes = self.eyes(options)
        choice = read_choice(options.face, eyes)

        def make() -> MouthPaster:
            film = FaceFollower(self._landmarker, TrackPolicy(choice=choice), options.identity.name)
            return MouthPaster(film, FaceFollower(self._landmarker, TrackPolicy(), "a made head"))

        return make

    def _turns(self, options: FilmOptions) -> PoseMap | None:
        """How far heads turn: solid ones as they are told, others as was measured."""
        return depth_turn_map() if options.turn == "depth" else self._poses

    def eyes(self, options: FilmOptions) -> FaceReader:
        """What looks at the pictures of a film."""
        return FaceReader(self.runtime, self._landmarker, choose_timing(options.compat, self.runtime.spec))

    def _identity(self, options: FilmOptions, side_px: int) -> Identity:
        eyes = self.eyes(options)
        policy = dataclasses.replace(eyes.timing.policy, choice=read_choice(options.face, eyes))
        return read_identities((options.identity, *options.references), side_px, eyes._replace(policy=policy))

    def side_px(self, options: FilmOptions) -> int:
        """Side of what the talker makes: the film's, unless it is put back into the picture."""
        plain = options.size or self.runtime.spec.sizes.picture_px
        if not options.full_frame:
            return plain
        whole = self._identity(options, plain).whole
        assert whole is not None
        return side_for(whole, plain)

    def size_px(self, options: FilmOptions) -> tuple[int, int]:
        """Width and height of the film."""
        if not options.full_frame:
            return self.side_px(options), self.side_px(options)
        height, width = evened(read_picture(options.identity)).shape[:2]
        return width, height

    def sound(self, options: FilmOptions) -> SoundTrack:
        """Sound of the film.

        Raises:
            InputError: There is none.
        """
        if options.audio is None:
            raise InputError("there is no audio to speak; give a file with sound")
        return SoundTrack(path=options.audio, start_s=options.start, end_s=options.end)

    def tags(self, options: FilmOptions) -> dict[str, str]:
        """Metadata of the film: that it is synthetic, and what made it. There is no setting to leave it out."""
        made_by = (
            f"pcavs {pcavs.__version__}",
            f"weights {self.name} sha256:{self.digest}",
            f"seed {options.seed}",
            choose_timing(options.compat, self.runtime.spec).remark,
        )
        comment = f"Synthetic: a computer made this face speak. {', '.join(filter(None, made_by))}"
        return {"title": "Synthetic talking face", "comment": comment}


def load_talker(place: Path | None, device: Device, threads: int = 0) -> Talker:
    """Loads weights for a device, and the face networks.

    Args:
        place: A bundle or a network folder; None is the talker that ships.
        device: Where it runs.
        threads: Of the processor, where OpenVINO runs it; 0 takes what the machine has.

    Raises:
        WeightsError: There are no such weights, or they are damaged.
        InputError: The device cannot be used.
    """
    weights = find_weights(place)
    use_torch = device == "cuda" or weights.networks is None
    runtime = _torch_runtime(weights, device) if use_torch else _openvino_runtime(weights, threads)
    return Talker(runtime, FaceLandmarker(), weights.name, weights.digest, find_map(weights), PersonSegmenter())


def _openvino_runtime(weights: Weights, threads: int) -> Runtime:
    assert weights.networks is not None
    folder = read_networks(weights.networks)
    return OpenVinoRuntime(folder.path, folder.spec, threads=threads)


def _torch_runtime(weights: Weights, device: Device) -> Runtime:
    if weights.bundle is None:
        raise InputError(f"{weights.networks} holds networks for the cpu only; give the bundle to use {device}")
    try:
        from pcavs.models.plain import plain_networks
        from pcavs.models.state import fill
        from pcavs.models.talker import build_talker
        from pcavs.runtime.torch import TorchRuntime, torch_device
    except ModuleNotFoundError as error:
        reason = "--device cuda" if device == "cuda" else f"{weights.bundle} without exported networks beside it"
        raise InputError(f"{reason} {_NEEDS_TORCH}") from error
    chosen = torch_device(device)
    bundle = load_bundle(weights.bundle)
    talker = build_talker(bundle.spec)
    fill(talker, bundle.tensors, str(weights.bundle))
    return TorchRuntime(plain_networks(talker), bundle.spec, chosen)
