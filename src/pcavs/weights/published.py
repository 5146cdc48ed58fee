"""Names and shapes of the published PC-AVS checkpoints, and how they map to ours; no other module knows them.

Arrays in, arrays out; `convert` reads the files. What is accepted and what is refused: docs/decisions/0004.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from pcavs.errors import WeightsError
from pcavs.spec import PaperSpec

FILES: Final = {
    "G": "latest_net_G.pth",
    "E": "latest_net_E.pth",
    "V": "latest_net_V.pth",
    "A_sync": "latest_net_A_sync.pth",
}
"""The four files of a release, by the published label of their network."""

NETWORKS: Final = {"G": "generator", "E": "motion encoder", "V": "identity encoder", "A_sync": "speech encoder"}
"""Our names of the networks, by the published label."""

_BLUR: Final = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
"""Filter of each upsampling; a release stores it, and we compute it (`models.stylegan2.blur_taps`)."""

_BLUR_TOLERANCE: Final = 1e-6
"""Largest accepted difference of a stored filter: rounding to float32."""

_UNUSED: Final = {
    "G": r"style\.\d+\.(weight|bias)|input\.input",
    "E": r"classifier\.[02]\.(weight|bias)|(mouth_fc|headpose_fc)\.1\.(weight|bias)",
    "V": r"(model\.)?fc\.(weight|bias)",
    "A_sync": r"fc\.(weight|bias)",
}
"""Tensors that inference never uses: they may be missing, or have any shape."""

_OLD_HEAD_NAMES: Final = {
    "mapper": "to_mouth",
    "mapper2small": "mouth_embed",
    "mapper_fc": "mouth_fc",
    "pure_pose": "to_headpose",
    "pure_pose2small": "headpose_embed",
    "pure_pose_fc": "headpose_fc",
}
"""Names of the heads of E before the release, and in it."""


class PublishedTensor(NamedTuple):
    """Where a release stores one of our tensors."""

    label: str
    """Network, a key of `FILES`."""
    name: str
    shape: tuple[int, ...]
    """Shape in the release; ours has the same elements in the same order."""


def published_tensors(wanted: Mapping[str, tuple[int, ...]], spec: PaperSpec) -> dict[str, PublishedTensor]:
    """Returns where a release stores every tensor of a `paper` model, by our names.

    Args:
        wanted: Shapes of the model's tensors, by our names (`models.build.model_shapes`).
        spec: Sizes of the model.
    """
    return {ours: _published_tensor(ours, shape, spec) for ours, shape in wanted.items()}


def _published_tensor(ours: str, shape: tuple[int, ...], spec: PaperSpec) -> PublishedTensor:
    network, _, rest = ours.partition(".")
    if ours.startswith("generator.synthesis."):
        return _synthesis_tensor(ours.removeprefix("generator.synthesis."), shape)
    if network == "generator":  # the published content embedding belongs to E
        return PublishedTensor("E", _renamed(rest, [(r"content_embedding", "mouth_embed")]), shape)
    if network == "motion":
        return PublishedTensor("E", _motion_name(rest, spec.hourglass_depth), shape)
    if network == "identity":
        return PublishedTensor("V", _renamed(rest, _IDENTITY), shape)
    return PublishedTensor("A_sync", _renamed(rest, _SPEECH), shape)


def from_published(
    release: Mapping[str, Mapping[str, np.ndarray]], wanted: Mapping[str, tuple[int, ...]], spec: PaperSpec
) -> dict[str, np.ndarray]:
    """Extracts a `paper` model's tensors from a release, with our names and shapes.

    Args:
        release: The four networks' tensors, by label and published name.
        wanted: Shapes of the model's tensors, by our names.
        spec: Sizes of the model.

    Raises:
        WeightsError: A tensor is missing, unknown, of another shape or type, or not finite; or a file holds another
            network than its name says.
    """
    sources = published_tensors(wanted, spec)
    current = {label: _current_names(release[label], FILES[label]) for label in FILES}
    needed = {label: {each.name: each.shape for each in sources.values() if each.label == label} for label in FILES}
    needed["G"] |= _blur_kernels(needed["G"])
    for label in FILES:
        _check_label(label, current[label], needed)
        _check_names(label, current[label], needed[label])
        for name, shape in needed[label].items():
            _check_tensor(FILES[label], name, current[label][name], shape)
    return {
        ours: np.asarray(current[source.label][source.name], np.float32, order="C").reshape(wanted[ours])
        for ours, source in sources.items()
    }


# Patterns over our names and their replacements, applied one after the other.

_IDENTITY: Final = [
    (r"^stem\.0", "model.conv1"),
    (r"^stem\.1", "model.bn1"),
    (r"^stages\.(\d+)", lambda found: f"model.layer{int(found[1]) + 1}"),
    (r"\bnarrow\.0", "conv1"),
    (r"\bnarrow\.1", "bn1"),
    (r"\bgroup\.0", "conv2"),
    (r"\bgroup\.1", "bn2"),
    (r"\bwiden\.0", "conv3"),
    (r"\bwiden\.1", "bn3"),
    (r"\bshortcut\b", "downsample"),
    (r"^seed\b", "conv1x1"),
]

_SPEECH: Final = [
    (r"^stem\.0", "model.conv1"),
    (r"^stem\.2", "model.bn1"),
    (r"^attention\b", "model.attention"),
    (r"^head\b", "model.fc"),
    (r"^stages\.(\d+)", lambda found: f"model.layer{int(found[1]) + 1}"),
    (r"\bfirst\.0", "conv1"),
    (r"\bfirst\.2", "bn1"),
    (r"\bsecond\.0", "conv2"),
    (r"\bsecond\.1", "bn2"),
    (r"(?<!model)\.attention\b", ".se.fc"),
    (r"\bshortcut\b", "downsample"),
]

_MOTION: Final = [
    (r"^stem\.0", "model.conv1"),
    (r"^stem\.1", "model.bn1"),
    (r"^at_half\b", "model.conv2"),
    (r"^at_quarter\.0", "model.conv3"),
    (r"^at_quarter\.1", "model.conv4"),
    (r"^heatmaps\.0", "model.top_m_0"),
    (r"^heatmaps\.1", "model.conv_last0"),
    (r"^heatmaps\.2", "model.bn_end0"),
    (r"^heatmaps\.4", "model.l0"),
    (r"^project\.0", "model.bn5"),
    (r"^project\.2", "model.conv6"),
    (r"^project\.5", "model.fc"),
    (r"^content_head\b", "to_mouth"),
    (r"^pose_head\b", "to_headpose"),
    (r"^pose_embedding\b", "headpose_embed"),
    (r"\bfirst\.0", "bn1"),
    (r"\bfirst\.2", "conv1"),
    (r"\bsecond\.0", "bn2"),
    (r"\bsecond\.2", "conv2"),
    (r"\bthird\.0", "bn3"),
    (r"\bthird\.2", "conv3"),
    (r"\bshortcut\b", "downsample"),
]


def _renamed(name: str, rules: list) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _motion_name(name: str, depth: int) -> str:
    """Renames a tensor of the motion encoder.

    The published hourglass is one module of numbered blocks, ours nests one module inside the other.
    """
    inside = re.match(r"hourglass((?:\.inner)*)(?:\.(past\.0|before|after))?\.", name)
    if inside:
        level = depth - inside[1].count("inner")
        blocks = {"past.0": f"b1_{level}", "before": f"b2_{level}", "after": f"b3_{level}", None: "b2_plus_1"}
        name = f"model.m0.{blocks[inside[2]]}.{name[inside.end() :]}"
    return _renamed(name, _MOTION)


def _synthesis_tensor(name: str, shape: tuple[int, ...]) -> PublishedTensor:
    """Locates a tensor of the synthesis network.

    In the release, kernels have a leading axis for the sample, and biases have all four axes of an image.
    """
    layer, _, leaf = name.rpartition(".")
    layer, is_affine = layer.removesuffix(".affine"), layer.endswith(".affine")
    level = re.match(r"levels\.(\d+)\.(\w+)", layer)
    number = int(level[1]) if level else 0
    if "colours" in layer:
        theirs, noise = (f"to_rgbs.{number}" if level else "to_rgb1"), None
    elif level:
        noise = 2 * number + (1 if level[2] == "up" else 2)
        theirs = f"convs.{noise - 1}"
    else:
        theirs, noise = "conv1", 0
    if is_affine:
        return PublishedTensor("G", f"{theirs}.conv.modulation.{leaf}", shape)
    if leaf == "weight":
        return PublishedTensor("G", f"{theirs}.conv.weight", (1, *shape))
    if leaf == "bias":
        return PublishedTensor("G", f"{theirs}.{'bias' if noise is None else 'activate.bias'}", (1, *shape, 1, 1))
    return PublishedTensor("G", f"noises.noise_{noise}" if leaf == "noise" else f"{theirs}.noise.weight", shape)


def _blur_kernels(needed: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Returns names and shapes of the stored filters: one for each upsampling of features and of images."""
    found = (re.match(r"(?:convs\.\d*[02468]\.conv|to_rgbs\.\d+)(?=\.(?:conv\.)?weight)", name) for name in needed)
    layers = {each[0] for each in found if each}
    return {f"{each}.{'blur' if each.startswith('convs') else 'upsample'}.kernel": _BLUR.shape for each in layers}


def _current_names(tensors: Mapping[str, np.ndarray], file: str) -> dict[str, np.ndarray]:
    """Replaces the names that the heads of E had before the release."""
    current: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        head, _, rest = name.partition(".")
        now = f"{_OLD_HEAD_NAMES[head]}.{rest}" if file == FILES["E"] and head in _OLD_HEAD_NAMES else name
        if now in current:
            raise WeightsError(f"{file} has tensor {now} twice, once under an older name; expected one of them")
        current[now] = value
    return current


def _check_label(
    label: str, found: Mapping[str, np.ndarray], needed: Mapping[str, Mapping[str, tuple[int, ...]]]
) -> None:
    """Refuses a file that holds another of the four networks, with a message of its own.

    A file counts as another network if it has more than half of that network's tensors and matches no other better.
    """
    fitting = {
        other: [name for name, shape in names.items() if name in found and found[name].shape == shape]
        for other, names in needed.items()
    }
    likely = max(fitting, key=lambda other: len(fitting[other]) / len(needed[other]))
    if likely != label and len(fitting[likely]) > len(needed[likely]) / 2:
        own = next(iter(needed[label]))
        raise WeightsError(
            f"{FILES[label]} holds the {NETWORKS[likely]} (tensor {fitting[likely][0]}); "
            f"expected the {NETWORKS[label]}, with tensor {own}"
        )


def _check_names(label: str, found: Mapping[str, np.ndarray], needed: Mapping[str, tuple[int, ...]]) -> None:
    file = FILES[label]
    for name, shape in needed.items():
        if name not in found:
            raise WeightsError(f"{file} has no tensor {name}; expected one of shape {shape}")
    for name in found:
        module = name.removesuffix("num_batches_tracked")
        is_counter = module != name and f"{module}running_mean" in needed
        if name not in needed and not is_counter and not re.fullmatch(_UNUSED[label], name):
            raise WeightsError(
                f"{file} has a tensor {name} that the published {NETWORKS[label]} does not have; "
                f"expected its {len(needed)} tensors and no other"
            )


def _check_tensor(file: str, name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise WeightsError(f"{file}: tensor {name} has shape {value.shape}; expected {shape}")
    if value.dtype.kind != "f":
        raise WeightsError(f"{file}: tensor {name} has type {value.dtype}; expected floating-point numbers")
    if not np.isfinite(value).all():
        raise WeightsError(f"{file}: tensor {name} holds numbers that are not finite; expected finite ones")
    if name.endswith(".kernel") and np.abs(value - _BLUR).max() > _BLUR_TOLERANCE:
        raise WeightsError(f"{file}: tensor {name} is another filter; expected the blur [1, 3, 3, 1]")
