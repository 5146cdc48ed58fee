"""A stand-in for the part of ComfyUI that loads and runs a node, since ComfyUI cannot be installed from an index.

It follows the published interface: `comfy_api/v0_0_2/__init__.py`, `comfy_api/latest/_io.py` (schemas, inputs, nodes,
outputs), `comfy_api/latest/__init__.py` (`set_progress`), `comfy_api/latest/_input_impl/video_types.py`,
`comfy/model_management.py` (interruption) and `execution.py` (validation, fingerprints, cache) of
github.com/comfyanonymous/ComfyUI, whose names, parameters and order of calls it keeps. Unknown parameters are errors,
as they are there.

PYTHONPATH=src:tests python -m helpers.comfy PICTURE runs the workflow of the pack on the shipped examples with the
default talker, and writes eight of its frames beside each other.
"""

import abc
import asyncio
import dataclasses
import importlib.util
import inspect
import json
import shutil
import sys
import types
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

PACK = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"


class InterruptProcessingException(Exception):  # noqa: N818 - its published name
    """Raised when the user has cancelled."""


class ValidationError(Exception):
    """Carries what ComfyUI shows if a prompt is refused before it runs."""


# The interface that nodes see ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Socket:
    """An input or output; `widget` holds what the published class of its type takes besides."""

    io_type: str
    id: str | None
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    is_widget: bool = False
    widget: dict[str, Any] = dataclasses.field(default_factory=dict)


WIDGETS = {
    "STRING": {"default", "multiline", "placeholder", "dynamic_prompts", "socketless", "force_input"},
    "INT": {"default", "min", "max", "step", "control_after_generate", "display_mode", "socketless", "force_input"},
    "FLOAT": {"default", "min", "max", "step", "round", "display_mode", "socketless", "force_input"},
    "BOOLEAN": {"default", "label_on", "label_off", "socketless", "force_input"},
    "COMBO": {"options", "default", "control_after_generate", "upload", "image_folder", "remote", "socketless"},
}


def socket_type(io_type: str) -> Any:
    """Returns the class `io.Image`, `io.String`, ... with its `Input` and `Output`."""
    allowed = WIDGETS.get(io_type, set())

    def make_input(id: str, display_name: Any = None, optional: bool = False, tooltip: Any = None, **widget: Any):
        unknown = set(widget) - allowed
        if unknown:
            raise TypeError(f"{io_type}.Input() got an unexpected keyword argument {sorted(unknown)[0]!r}")
        return Socket(io_type, id, display_name, optional, tooltip, io_type in WIDGETS, widget)

    def make_output(id: Any = None, display_name: Any = None, tooltip: Any = None):
        return Socket(io_type, id, display_name, tooltip=tooltip)

    return types.SimpleNamespace(Input=make_input, Output=make_output, io_type=io_type)


@dataclasses.dataclass
class Schema:
    """What a node takes and gives."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Socket] = dataclasses.field(default_factory=list)
    outputs: list[Socket] = dataclasses.field(default_factory=list)
    hidden: list[Any] = dataclasses.field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def validate(self) -> None:
        """Refuses ids that are used twice."""
        ids = [each.id for each in (*self.inputs, *self.outputs) if each.id is not None]
        if len(set(ids)) != len(ids):
            raise ValueError(f"Ids must be unique, but {ids} are not.")


class NodeOutput:
    """The results of a node, in the order of the schema's outputs."""

    def __init__(self, *args: Any, ui: Any = None, expand: Any = None, block_execution: str | None = None) -> None:
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution


class ComfyNode(abc.ABC):
    """Base of nodes; `validate_inputs` and `fingerprint_inputs` may be left out."""

    @classmethod
    @abc.abstractmethod
    def define_schema(cls) -> Schema: ...

    @classmethod
    @abc.abstractmethod
    def execute(cls, **inputs: Any) -> NodeOutput: ...


class ComfyExtension(abc.ABC):
    """What `comfy_entrypoint` returns."""

    async def on_load(self) -> None:  # noqa: B027 - published as a method that may be left out
        pass

    @abc.abstractmethod
    async def get_node_list(self) -> list[type[ComfyNode]]: ...


class VideoFromFile:
    """A video in a file."""

    def __init__(self, file: str, *, start_time: float = 0, duration: float = 0) -> None:
        assert isinstance(file, str), "the published class takes str or BytesIO, not Path"
        self._file = file

    def get_stream_source(self) -> str:
        return self._file

    def get_dimensions(self) -> tuple[int, int]:
        with av.open(self._file) as container:
            return container.streams.video[0].width, container.streams.video[0].height

    def save_to(self, path: str, format: Any = "auto", codec: Any = "auto", metadata: Any = None) -> None:
        shutil.copyfile(self._file, path)


@dataclasses.dataclass
class Link:
    """A value that another node gives, for an input that could also be a widget."""

    value: Any


# What runs them --------------------------------------------------------------------------------------------------


class Comfy:
    """ComfyUI with its folders input, temp and models below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "models" / "pcavs").mkdir(parents=True)
        self.nodes: dict[str, type[ComfyNode]] = {}
        self.reset()

    def reset(self) -> None:
        """Forgets what was run, and empties the folders input and temp."""
        for name in ("input", "temp"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        self.progress: list[tuple[float, float]] = []
        self.cancel_after: int | None = None
        """Number of reports of progress after which the user cancels."""
        self.executions = 0
        self._interrupted = False
        self._is_executing = False
        self._cache: dict[str, tuple[Any, NodeOutput]] = {}

    def modules(self) -> dict[str, types.ModuleType]:
        """Returns the modules that a node imports."""
        names = {"Image": "IMAGE", "Audio": "AUDIO", "Video": "VIDEO", "String": "STRING", "Int": "INT"}
        names |= {"Float": "FLOAT", "Boolean": "BOOLEAN", "Combo": "COMBO"}
        io = types.SimpleNamespace(
            ComfyNode=ComfyNode,
            Schema=Schema,
            NodeOutput=NodeOutput,
            **{name: socket_type(io_type) for name, io_type in names.items()},
        )
        execution = types.SimpleNamespace(set_progress=self._set_progress)
        return {
            "comfy_api": _module("comfy_api"),
            "comfy_api.v0_0_2": _module(
                "comfy_api.v0_0_2",
                io=io,
                ComfyExtension=ComfyExtension,
                ComfyAPISync=lambda: types.SimpleNamespace(execution=execution),
                InputImpl=types.SimpleNamespace(VideoFromFile=VideoFromFile),
            ),
            "comfy": _module("comfy"),
            "comfy.model_management": _module(
                "comfy.model_management",
                InterruptProcessingException=InterruptProcessingException,
                throw_exception_if_processing_interrupted=self._throw_if_interrupted,
            ),
            "folder_paths": _module(
                "folder_paths",
                models_dir=str(self.folder / "models"),
                get_input_directory=lambda: str(self.folder / "input"),
                get_temp_directory=lambda: str(self.folder / "temp"),
            ),
        }

    def load(self, pack: Path = PACK) -> Any:
        """Loads a pack as ComfyUI loads a folder of `custom_nodes`; its modules must be in `sys.modules`."""
        name = f"custom_nodes_{self.folder.name}".replace("-", "_")
        spec = importlib.util.spec_from_file_location(
            name, pack / "__init__.py", submodule_search_locations=[str(pack)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.pop(f"{name}.nodes", None)  # of a stand-in before this one
        sys.modules[name] = module
        spec.loader.exec_module(module)
        extension = asyncio.run(module.comfy_entrypoint())
        assert isinstance(extension, ComfyExtension)
        asyncio.run(extension.on_load())
        for node in asyncio.run(extension.get_node_list()):
            schema = node.define_schema()
            schema.validate()
            self.nodes[schema.node_id] = node
        return sys.modules[f"{name}.nodes"]

    def run(self, node_id: str, **inputs: Any) -> tuple[Any, ...]:
        """Validates and executes a node, unless neither its inputs nor its fingerprint have changed.

        Tensors, dictionaries, videos and `Link` stand for links, everything else for widgets. What comes by a link is
        None until the node is executed.
        """
        node = self.nodes[node_id]
        schema = node.define_schema()
        known = {name: value if isinstance(value, str | int | float) else None for name, value in inputs.items()}
        inputs = {name: value.value if isinstance(value, Link) else value for name, value in inputs.items()}
        self._validate(node, schema, known)
        fingerprint = getattr(node, "fingerprint_inputs", lambda **_: None)(**known)
        signature = {name: id(inputs[name]) if value is None else value for name, value in known.items()}, fingerprint
        if node_id in self._cache and self._cache[node_id][0] == signature:
            return self._cache[node_id][1].args
        clone = type(node.__name__, (node,), {})  # nodes have no state: each run gets a class of its own
        self._is_executing, self._interrupted = True, False
        self.progress.clear()
        self.executions += 1
        try:
            output = clone.execute(**inputs)
        finally:
            self._is_executing = False
        assert isinstance(output, NodeOutput)
        assert len(output.args) == len(schema.outputs)
        for value, socket in zip(output.args, schema.outputs, strict=True):
            _check(value, socket.io_type)
        self._cache[node_id] = signature, output
        return output.args

    def _validate(self, node: Any, schema: Schema, inputs: dict[str, Any]) -> None:
        sockets = {socket.id: socket for socket in schema.inputs}
        assert set(inputs) <= set(sockets)
        own = getattr(node, "validate_inputs", None)
        named = set() if own is None else set(inspect.signature(own).parameters)
        for name, socket in sockets.items():
            if name not in inputs:
                if not (socket.optional or socket.is_widget):
                    raise ValidationError(f"Required input is missing: {name}")
                continue
            value, widget = inputs[name], socket.widget
            if name in named or value is None:
                continue
            if "min" in widget and value < widget["min"]:
                raise ValidationError(f"Value {value} smaller than min of {widget['min']}")
            if "max" in widget and value > widget["max"]:
                raise ValidationError(f"Value {value} bigger than max of {widget['max']}")
            if "options" in widget and value not in widget["options"]:
                raise ValidationError(f"Value not in list: {name}: {value!r}")
        if own is not None:
            answer = own(**{name: value for name, value in inputs.items() if name in named})
            if answer is not True:
                raise ValidationError(answer)

    def _set_progress(self, value: float, max_value: float, node_id: str | None = None, **_: Any) -> None:
        if not self._is_executing and node_id is None:
            raise ValueError("node_id must be provided if not in executing context")
        self.progress.append((value, max_value))
        self._interrupted = self.cancel_after is not None and len(self.progress) >= self.cancel_after

    def _throw_if_interrupted(self) -> None:
        if self._interrupted:
            self._interrupted = False
            raise InterruptProcessingException


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    vars(module).update(members)
    return module


def _check(value: Any, io_type: str) -> None:
    """Checks what ComfyUI's other nodes expect of a value."""
    if io_type == "IMAGE":
        assert value.ndim == 4
        assert value.shape[-1] == 3
        assert value.dtype == torch.float32
        assert 0 <= value.min() <= value.max() <= 1
    if io_type == "VIDEO":
        assert isinstance(value, VideoFromFile)


def load_image(path: Path) -> torch.Tensor:
    """Returns a picture as the node Load Image does: (1, height, width, 3), float32 in [0, 1]."""
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255)[None]


def load_audio(path: Path, seconds: float | None = None) -> dict[str, Any]:
    """Returns 16-bit WAV as the node Load Audio does: waveform (1, channels, samples), float32 in [-1, 1]."""
    with wave.open(str(path)) as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels).T
    samples = samples[:, : None if seconds is None else round(seconds * rate_hz)]
    return {"waveform": torch.from_numpy(samples.astype(np.float32) / 32768)[None], "sample_rate": rate_hz}


def main(picture: str) -> None:
    """Writes a picture of frames that the pack's workflow makes of the shipped examples."""
    comfy = Comfy(Path(picture).resolve().parent / "comfy-stand-in")
    sys.modules.update(comfy.modules())
    comfy.load()
    workflow = json.loads((PACK / "example_workflows" / "photo_and_voice.json").read_text())
    widgets = next(node for node in workflow["nodes"] if node["type"] == "PCAVS_TalkingPhoto")["widgets_values"]
    schema = comfy.nodes["PCAVS_TalkingPhoto"].define_schema()
    settings = dict(zip([each.id for each in schema.inputs if each.is_widget], widgets, strict=True))
    examples = PACK.parents[1] / "examples"
    photo, voice = load_image(examples / "face.jpg"), load_audio(examples / "speech.wav", 3.2)
    _, frames = comfy.run("PCAVS_TalkingPhoto", photo=photo, voice=voice, **settings)
    shown = (frames[:: len(frames) // 8][:8] * 255).byte().numpy()
    rows = [np.concatenate(list(shown[first : first + 4]), axis=1) for first in (0, 4)]
    Image.fromarray(np.concatenate(rows)).save(picture, quality=88)
    shutil.rmtree(comfy.folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
