"""Published PC-AVS checkpoints: the one place that knows their file names and the names inside them.

Arrays in, arrays out; `exchange.convert` reads the files. What is tolerated and what is refused: docs/decisions/0004.
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
"""The four files of a release, by the published label of the network inside."""

NETWORKS: Final = {"G": "generator", "E": "motion encoder", "V": "identity encoder", "A_sync": "speech encoder"}

_BLUR: Final = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
_BLUR_TOLERANCE: Final = 1e-6

_UNUSED: Final = {
    "G": r"style\.\d+\.(weight|bias)|input\.input",
    "E": r"classifier\.[02]\.(weight|bias)|(mouth_fc|headpose_fc)\.1\.(weight|bias)",
    "V": r"(model\.)?fc\.(weight|bias)",
    "A_sync": r"fc\.(weight|bias)",
}
"""Of training only, or never run: may be there in any shape, or not."""

_OLDER: Final = {
    "mapper": "to_mouth",
    "mapper2small": "mouth_embed",
    "mapper_fc": "mouth_fc",
    "pure_pose": "to_headpose",
    "pure_pose2small": "headpose_embed",
    "pure_pose_fc": "headpose_fc",
}
"""What the heads of E were called before the release."""


class Place(NamedTuple):
    """Where a tensor of ours lies in a release."""

    label: str
    name: str
    shape: tuple[int, ...]


def published_places(wanted: Mapping[str, tuple[int, ...]], spec: PaperSpec) -> dict[str, Place]:
    """Tells for every tensor of a `paper` talker where a release has it.

    Args:
        wanted: Shapes of the talker's tensors, by our names.
        spec: Of the talker.
    """
    places = {}
    for ours, shape in wanted.items():
        room, _, rest = ours.partition(".")
        if ours.startswith("generator.synthesis."):
            place = _of_generator(ours.removeprefix("generator.synthesis."), shape)
        elif room == "generator":
            place = Place("E", _renamed(rest, [(r"content_embedding", "mouth_embed")]), shape)
        elif room == "motion":
            place = Place("E", _of_motion(rest, spec.hourglass_depth), shape)
        elif room == "identity":
            place = Place("V", _renamed(rest, _IDENTITY), shape)
        else:
            place = Place("A_sync", _renamed(rest, _SPEECH), shape)
        places[ours] = place
    return places


def from_published(
    release: Mapping[str, Mapping[str, np.ndarray]], wanted: Mapping[str, tuple[int, ...]], spec: PaperSpec
) -> dict[str, np.ndarray]:
    """Takes a `paper` talker's tensors, by our names and in our shapes, out of a release.

    Args:
        release: The four networks' tensors, by label and published name.
        wanted: Shapes of the talker's tensors, by our names.
        spec: Of the talker.

    Raises:
        WeightsError: A tensor is missing, unknown, of another shape or kind, or not finite; or a file holds another
            network than its name says.
    """
    places = published_places(wanted, spec)
    current = {label: _current_names(release[label], FILES[label]) for label in FILES}
    needed = {label: {each.name: each.shape for each in places.values() if each.label == label} for label in FILES}
    needed["G"] |= _blurs(needed["G"])
    for label in FILES:
        _check_label(label, current[label], needed)
        _check_names(label, current[label], needed[label])
        for name, shape in needed[label].items():
            _check_tensor(FILES[label], name, current[label][name], shape)
    return {
        ours: np.asarray(current[place.label][place.name], np.float32, order="C").reshape(wanted[ours])
        for ours, place in places.items()
    }


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
    for pattern, becomes in rules:
        name = re.sub(pattern, becomes, name)
    return name


def _of_motion(name: str, depth: int) -> str:
    """The published hourglass is one module of numbered blocks; ours is one inside the other."""
    inside = re.match(r"hourglass((?:\.inner)*)(?:\.(past\.0|before|after))?\.", name)
    if inside:
        level = depth - inside[1].count("inner")
        blocks = {"past.0": f"b1_{level}", "before": f"b2_{level}", "after": f"b3_{level}", None: "b2_plus_1"}
        name = f"model.m0.{blocks[inside[2]]}.{name[inside.end() :]}"
    return _renamed(name, _MOTION)


def _of_generator(name: str, shape: tuple[int, ...]) -> Place:
    """Convolutions carry a leading axis for the sample there, biases the picture's axes."""
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
        return Place("G", f"{theirs}.conv.modulation.{leaf}", shape)
    if leaf == "weight":
        return Place("G", f"{theirs}.conv.weight", (1, *shape))
    if leaf == "bias":
        return Place("G", f"{theirs}.bias" if noise is None else f"{theirs}.activate.bias", (1, *shape, 1, 1))
    return Place("G", f"noises.noise_{noise}" if leaf == "noise" else f"{theirs}.noise.weight", shape)


def _blurs(needed: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Names of the stored filters: constants, in front of each doubling of features and of pictures."""
    found = (re.match(r"(?:convs\.\d*[02468]\.conv|to_rgbs\.\d+)(?=\.(?:conv\.)?weight)", name) for name in needed)
    doubled = {each[0] for each in found if each}
    return {f"{each}.{'blur' if each.startswith('convs') else 'upsample'}.kernel": _BLUR.shape for each in doubled}


def _current_names(tensors: Mapping[str, np.ndarray], file: str) -> dict[str, np.ndarray]:
    current: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        head, _, rest = name.partition(".")
        now = f"{_OLDER[head]}.{rest}" if file == FILES["E"] and head in _OLDER else name
        if now in current:
            raise WeightsError(f"{file} has tensor {now} twice, once under an older name; one of them was expected")
        current[now] = value
    return current


def _check_label(
    label: str, found: Mapping[str, np.ndarray], needed: Mapping[str, Mapping[str, tuple[int, ...]]]
) -> None:
    """Tells of a file under another's name as such, not as of a missing tensor."""
    fitting = {
        other: [name for name, shape in names.items() if name in found and found[name].shape == shape]
        for other, names in needed.items()
    }
    likely = max(fitting, key=lambda other: len(fitting[other]) / len(needed[other]))
    if likely != label and len(fitting[likely]) > len(needed[likely]) / 2:
        own = next(iter(needed[label]))
        raise WeightsError(
            f"{FILES[label]} holds the {NETWORKS[likely]} (tensor {fitting[likely][0]}); "
            f"the {NETWORKS[label]}, with tensor {own}, was expected"
        )


def _check_names(label: str, found: Mapping[str, np.ndarray], needed: Mapping[str, tuple[int, ...]]) -> None:
    file = FILES[label]
    for name, shape in needed.items():
        if name not in found:
            raise WeightsError(f"{file} has no tensor {name}; one of {_text(shape)} was expected")
    for name in found:
        counter = name.removesuffix("num_batches_tracked")
        is_counter = counter != name and f"{counter}running_mean" in needed
        if name not in needed and not is_counter and not re.fullmatch(_UNUSED[label], name):
            raise WeightsError(
                f"{file} has a tensor {name} that the published {NETWORKS[label]} has not; "
                f"its {len(needed)} tensors and no other were expected"
            )


def _check_tensor(file: str, name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise WeightsError(f"{file}: tensor {name} is {_text(value.shape)}; {_text(shape)} was expected")
    if value.dtype.kind != "f":
        raise WeightsError(f"{file}: tensor {name} holds {value.dtype}; floating-point numbers were expected")
    if not np.isfinite(value).all():
        raise WeightsError(f"{file}: tensor {name} holds numbers that are not finite; finite ones were expected")
    if name.endswith(".kernel") and np.abs(value - _BLUR).max() > _BLUR_TOLERANCE:
        raise WeightsError(f"{file}: tensor {name} is another filter; the blur [1, 3, 3, 1] was expected")


def _text(shape: tuple[int, ...]) -> str:
    return f"shape {tuple(shape)}"
