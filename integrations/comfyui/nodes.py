"""The node `PCAVS_TalkingPhoto`: photo, voice and head motion in; film and frames out.

It uses ComfyUI's interface of version 0.0.2 (V3 nodes). Nodes are classes without state, so the loaded talker is kept
in this module, from one run to the next.
"""

import contextlib
import functools
import json
import secrets
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import folder_paths
import numpy as np
import torch
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy_api.v0_0_2 import ComfyAPISync, ComfyExtension, InputImpl, io
from PIL import Image

from pcavs.animate.film import Film, open_writer
from pcavs.animate.load import load_talker
from pcavs.animate.options import ARTICULATION, SIDE_PX, SMILE, Device, FilmOptions
from pcavs.animate.talker import Talker, sound_track
from pcavs.errors import InputError
from pcavs.pose.presets import PRESETS

_API: Final = ComfyAPISync()
_FULL_SCALE: Final = 32767
"""Sample value of 16-bit PCM that stands for 1.0."""
_PREPARING: Final = 0.1
"""Share of the progress bar for reading inputs and measuring the head motion in a video."""
_STEPS: Final = 1000
"""Length of the progress bar."""


class TalkingPhoto(io.ComfyNode):
    """Makes a photo speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describes inputs, settings and outputs."""
        return io.Schema(
            node_id="PCAVS_TalkingPhoto",
            display_name="Talking Photo (PC-AVS)",
            category="video/pcavs",
            description="Makes the person in a photo speak, with any head motion. 25 frames a second.",
            inputs=[
                io.Image.Input("photo", tooltip="The person. More pictures of a batch show the same person."),
                io.Audio.Input("voice", tooltip="The speech; the film carries it."),
                io.Video.Input(
                    "head", optional=True, tooltip="A video whose head motion is followed, instead of pose."
                ),
                io.String.Input(
                    "pose",
                    default="",
                    multiline=True,
                    placeholder="lively",
                    tooltip="Head motion: empty (as in the photo); degrees, such as yaw=20,pitch=-5; a preset "
                    f"({', '.join(PRESETS)}); a timeline as JSON; or a file in the input folder (video, .json, .npz).",
                ),
                io.Combo.Input("look", options=["head", "camera"], default="head", tooltip="What the eyes hold on to."),
                io.Float.Input(
                    "articulation",
                    default=1.0,
                    min=ARTICULATION[0],
                    max=ARTICULATION[1],
                    step=0.1,
                    tooltip="How far speech moves the lips.",
                ),
                io.Float.Input("smile", default=0.0, min=SMILE[0], max=SMILE[1], step=0.1),
                io.Int.Input(
                    "size",
                    default=0,
                    min=0,
                    max=SIDE_PX[1],
                    step=2,
                    tooltip="Side of the film in pixels; 0 is the size that the weights were made for.",
                ),
                io.Boolean.Input(
                    "full_frame", default=False, tooltip="Shows the whole photo, with the talking head in it."
                ),
                io.String.Input("label", default="", tooltip="Visible label, such as AI-generated; empty for none."),
                io.Int.Input("blink_seed", default=0, min=0, max=2**31 - 1, tooltip="Seed of the blinks."),
                io.Boolean.Input(
                    "all_frames",
                    default=True,
                    tooltip="Gives all frames as images (3 MB a frame at 512 px); off: only the first.",
                ),
                io.Combo.Input("device", options=["auto", "cpu", "cuda"], default="auto"),
                io.String.Input(
                    "weights", default="", tooltip="Weights in models/pcavs; empty takes those of the package."
                ),
            ],
            outputs=[io.Video.Output("film", display_name="film"), io.Image.Output("frames", display_name="frames")],
        )

    @classmethod
    def validate_inputs(cls, pose: str | None = "", weights: str | None = "") -> bool | str:
        """Refuses, before anything runs, files that do not exist or lie outside of ComfyUI's folders.

        Settings that come from other nodes are None here, since they are not known yet.
        """
        try:
            _pose_file(pose or "")
            _weights_file(weights or "")
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, pose: str | None = "", weights: str | None = "", **_: Any) -> list[str]:
        """Makes the node run again if a file that a setting names has changed; None as in `validate_inputs`."""
        files = [_pose_file(pose or ""), _weights_file(weights or "")]
        return [f"{file}:{file.stat().st_mtime_ns}" for file in files if file is not None and file.exists()]

    @classmethod
    def execute(  # noqa: PLR0913, PLR0917 - the inputs of the schema
        cls,
        photo: torch.Tensor,
        voice: dict[str, Any],
        head: Any = None,
        pose: str = "",
        look: str = "head",
        articulation: float = 1.0,
        smile: float = 0.0,
        size: int = 0,
        full_frame: bool = False,
        label: str = "",
        blink_seed: int = 0,
        all_frames: bool = True,
        device: Device = "auto",
        weights: str = "",
    ) -> io.NodeOutput:
        """Makes the film.

        Args:
            photo: (batch, height, width, 3 or 4), float, RGB in [0, 1]; the first is animated, or the most typical.
            voice: `waveform`, (1, channels, samples), float in [-1, 1], and `sample_rate` in Hz.
            head: A video whose head motion is followed; `pose` must be empty then.
            pose: Head motion as text.
            look: What the eyes hold on to.
            articulation: How far speech moves the lips.
            smile: How far the corners of the mouth are drawn up.
            size: Side of the film in pixels; 0 is the talker's own.
            full_frame: Shows the whole photo.
            label: Visible label; empty for none.
            blink_seed: Seed of the blinks.
            all_frames: Returns all frames as images, and not only the first.
            device: Where the networks run.
            weights: File or folder in models/pcavs; empty for the default.

        Raises:
            InputError: An input or a setting cannot be used; the message is one line.
            InterruptProcessingException: The user cancelled; no film is left behind.
        """
        report = _Progress()
        talker = _talker(weights, device)
        with tempfile.TemporaryDirectory(prefix="pcavs-") as name:
            folder = Path(name)
            photos = _write_photos(photo, folder)
            options = FilmOptions(
                identity=photos[0],
                references=tuple(photos[1:]),
                audio=_write_voice(voice, folder / "voice.wav"),
                pose=_pose_source(pose, head, folder),
                look=look,
                articulation=articulation,
                smile=smile,
                size=size or None,
                full_frame=full_frame,
                label=label or None,
                seed=blink_seed,
            )
            film = talker.film(options, report.preparing)
            out = Path(folder_paths.get_temp_directory()) / f"pcavs-{secrets.token_hex(8)}.mp4"
            out.parent.mkdir(parents=True, exist_ok=True)
            frames = _render(film, options, talker, out, all_frames, report.rendering)
        return io.NodeOutput(InputImpl.VideoFromFile(str(out)), frames)


class PcavsExtension(ComfyExtension):
    """The nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Returns the nodes."""
        return [TalkingPhoto]


async def comfy_entrypoint() -> PcavsExtension:
    """Returns the extension; ComfyUI calls this when it loads the pack."""
    return PcavsExtension()


class _Progress:
    """Shows progress, and ends the run if the user cancelled it."""

    def preparing(self, _: str, done: int, total: int) -> None:
        """Reports frames of a pose video that are read."""
        self._show(_PREPARING * done / max(total, 1))

    def rendering(self, done: int, total: int) -> None:
        """Reports frames that are rendered."""
        self._show(_PREPARING + (1 - _PREPARING) * done / total)

    @staticmethod
    def _show(share: float) -> None:
        throw_exception_if_processing_interrupted()
        _API.execution.set_progress(round(share * _STEPS), _STEPS)


def _render(
    film: Film, options: FilmOptions, talker: Talker, out: Path, all_frames: bool, report: Callable[[int, int], None]
) -> torch.Tensor:
    """Renders a film to a file; returns its frames, (time, height, width, 3), float32, RGB in [0, 1]."""
    width, height = film.size_px
    frames = torch.empty((film.num_frames if all_frames else 1, height, width, 3), dtype=torch.float32)
    sound, tags = sound_track(options), talker.tags(options)
    with (
        open_writer(out, film.size_px, sound, tags, talker.origin(options), False) as writer,
        contextlib.closing(film.frames) as pictures,
    ):
        for number, picture in enumerate(pictures):
            writer.write(picture)
            if number < len(frames):
                frames[number] = torch.from_numpy(picture) / 255
            report(number + 1, film.num_frames)
    return frames


def _talker(weights: str, device: Device) -> Talker:
    """Returns the talker of the last run, if weights and device are the same; otherwise loads one."""
    file = _weights_file(weights)
    return _load(file, None if file is None else file.stat().st_mtime_ns, device)


@functools.lru_cache(maxsize=1)
def _load(file: Path | None, _: int | None, device: Device) -> Talker:
    return load_talker(file, device)


def _below(folder: str, name: str, where: str) -> Path:
    """Returns a file below one of ComfyUI's folders; workflows of others name no files elsewhere."""
    path = (Path(folder) / name).resolve()
    if not path.is_relative_to(Path(folder).resolve()):
        raise InputError(f"{name} lies outside of {where}; move it there")
    if not path.exists():
        raise InputError(f"there is no {name} in {where}; copy it there")
    return path


def _weights_file(weights: str) -> Path | None:
    folder = str(Path(folder_paths.models_dir) / "pcavs")
    return _below(folder, weights.strip(), "models/pcavs") if weights.strip() else None


def _pose_file(pose: str) -> Path | None:
    """Returns the file that a head motion names; None if it names none."""
    text = pose.strip()
    if not text or text in PRESETS or "=" in text or text.startswith("{"):
        return None
    if not Path(text).suffix and len(Path(text).parts) == 1:
        raise InputError(f"there is no pose named {text}; give degrees, a file, or one of {', '.join(PRESETS)}")
    return _below(folder_paths.get_input_directory(), text, "the input folder")


def _pose_source(pose: str, head: Any, folder: Path) -> Path | None:
    """Returns the value of the film's setting `pose`; videos and timelines given as such are written to files."""
    text = pose.strip()
    if head is not None:
        if text:
            raise InputError("pose and head both give a head motion; empty pose, or disconnect head")
        path = folder / "head.mp4"
        head.save_to(str(path))
        return path
    if text.startswith("{"):
        if '"path"' in text:
            raise InputError("a timeline that names files has to lie beside them; save it to the input folder")
        try:
            json.loads(text)
        except ValueError as error:
            raise InputError(f"the timeline in pose is not JSON ({error}); see docs/pose.md") from error
        path = folder / "timeline.json"
        path.write_text(text, encoding="utf-8")
        return path
    return _pose_file(pose) or (Path(text) if text else None)


def _write_photos(photo: torch.Tensor, folder: Path) -> list[Path]:
    """Writes a batch of images as PNG files."""
    if photo.ndim != 4 or photo.shape[-1] not in (3, 4) or not len(photo):
        raise InputError(f"photo has the shape {tuple(photo.shape)}; connect an IMAGE of a person")
    paths = [folder / f"photo{number}.png" for number in range(len(photo))]
    for path, picture in zip(paths, photo, strict=True):
        pixels = (picture.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(path, compress_level=1)
    return paths


def _write_voice(voice: dict[str, Any], path: Path) -> Path:
    """Writes AUDIO as 16-bit WAV."""
    waveform, rate_hz = voice["waveform"], int(voice["sample_rate"])
    if waveform.ndim != 3 or waveform.shape[0] != 1 or not waveform.shape[1] * waveform.shape[2]:
        raise InputError(f"voice has the shape {tuple(waveform.shape)}; connect one recording that is not empty")
    samples = waveform[0].detach().cpu().float().clamp(-1, 1).numpy()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.round(samples.T * _FULL_SCALE).astype("<i2").tobytes())
    return path
