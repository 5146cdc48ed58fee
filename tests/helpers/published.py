"""A direct implementation of the published networks with their own tensor names: a reference for the package's.

It uses nothing of the package but sizes. Each network requests its tensors by name and shape from a `Store`, which
draws random values for those that it does not have: running the networks once creates a release of any size.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pcavs.spec import PaperSpec


class Store:
    """Tensors of one network by published name; a missing one is drawn with values of a plausible size."""

    def __init__(self, seed: int, device: str = "cpu") -> None:
        self.device = device
        self.tensors: dict[str, Tensor] = {}
        self.rng = np.random.default_rng(seed)

    def __call__(self, name: str, *shape: int) -> Tensor:
        if name not in self.tensors:
            self.tensors[name] = self._new(name, shape)
        assert tuple(self.tensors[name].shape) == shape, name
        return self.tensors[name]

    def _new(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if self.device == "meta":
            return torch.empty(shape, device="meta")
        return torch.from_numpy(np.asarray(self._draw(name, shape), np.float32))

    def _draw(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        normal = self.rng.standard_normal(shape)
        if name.endswith(".kernel"):
            return np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight") and "noise" not in name):
            return self.rng.uniform(0.75, 1.25, shape)
        if name.endswith("modulation.bias"):
            return 1 + 0.1 * normal
        if name.endswith(("bias", "running_mean", "noise.weight")):
            return 0.1 * normal
        if len(shape) == 5 or "noise" in name or "modulation" in name:
            return 0.1 * normal if name.startswith("to_rgb") and len(shape) == 5 else normal
        return normal / np.sqrt(np.prod(shape[1:]))


def identity(store: Store, x: Tensor, spec: PaperSpec) -> tuple[Tensor, Tensor]:
    """Computes netV, torchvision's ResNeXt: identity vector and map."""
    x = norm(store, "model.bn1", conv(store, "model.conv1", x, spec.identity_stem, 7, 2)).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, (planes, blocks) in enumerate(zip(spec.identity_planes, spec.identity_blocks, strict=True), start=1):
        width = int(planes * spec.identity_group_width / 64) * spec.identity_groups
        for block in range(blocks):
            name, stride = f"model.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(store, f"{name}.bn1", conv(store, f"{name}.conv1", x, width, 1)).relu()
            y = conv(store, f"{name}.conv2", y, width, 3, stride, groups=spec.identity_groups)
            y = norm(store, f"{name}.bn2", y).relu()
            y = norm(store, f"{name}.bn3", conv(store, f"{name}.conv3", y, 4 * planes, 1))
            if block == 0:
                shortcut = conv(store, f"{name}.downsample.0", x, 4 * planes, 1, stride)
                x = norm(store, f"{name}.downsample.1", shortcut)
            x = (x + y).relu()
    seed_map = conv(store, "conv1x1", x, spec.seed_channels, 1, bias=True)
    return x.mean(dim=(2, 3)), functional.adaptive_avg_pool2d(seed_map, spec.frame_px // 32)


def motion(store: Store, x: Tensor, spec: PaperSpec) -> dict[str, Tensor]:
    """Computes netE: the face alignment network and its heads."""
    stem, middle, wide = spec.motion_widths
    x = norm(store, "model.bn1", conv(store, "model.conv1", x, stem, 7, 2, bias=True)).relu()
    x = functional.max_pool2d(hierarchical(store, "model.conv2", x, middle), 2)
    x = hierarchical(store, "model.conv4", hierarchical(store, "model.conv3", x, middle), wide)
    x = hierarchical(store, "model.top_m_0", hourglass(store, x, wide, spec.hourglass_depth), wide)
    x = norm(store, "model.bn_end0", conv(store, "model.conv_last0", x, wide, 1, bias=True)).relu()
    x = norm(store, "model.bn5", conv(store, "model.l0", x, spec.motion_heatmaps, 1, bias=True)).relu()
    x = conv(store, "model.conv6", x, 1, 3, 2, bias=True).flatten(1).relu()
    noid = linear(store, "model.fc", x, spec.motion_dim)
    heads = {}
    for head, size in (("to_mouth", spec.content_dim), ("to_headpose", spec.motion_dim)):
        hidden = linear(store, f"{head}.0", noid, spec.motion_dim).relu()
        heads[head] = linear(store, f"{head}.2", hidden, size)
    pose = linear(store, "headpose_embed.1", heads["to_headpose"].relu(), spec.pose_dim)
    return {"noid": noid, "mouth": heads["to_mouth"], "headpose": heads["to_headpose"], "pose": pose}


def hourglass(store: Store, x: Tensor, channels: int, level: int) -> Tensor:
    past = hierarchical(store, f"model.m0.b1_{level}", x, channels)
    low = hierarchical(store, f"model.m0.b2_{level}", functional.max_pool2d(x, 2), channels)
    if level > 1:
        low = hourglass(store, low, channels, level - 1)
    else:
        low = hierarchical(store, "model.m0.b2_plus_1", low, channels)
    low = hierarchical(store, f"model.m0.b3_{level}", low, channels)
    return past + functional.interpolate(low, size=past.shape[2:], mode="bilinear", align_corners=False)


def hierarchical(store: Store, name: str, x: Tensor, out: int) -> Tensor:
    first = conv(store, f"{name}.conv1", norm(store, f"{name}.bn1", x).relu(), out // 2, 3)
    second = conv(store, f"{name}.conv2", norm(store, f"{name}.bn2", first).relu(), out // 4, 3)
    third = conv(store, f"{name}.conv3", norm(store, f"{name}.bn3", second).relu(), out // 4, 3)
    if x.shape[1] != out:
        x = conv(store, f"{name}.downsample.2", norm(store, f"{name}.downsample.0", x).relu(), out, 1)
    return torch.cat([first, second, third], dim=1) + x


def speech(store: Store, x: Tensor, spec: PaperSpec) -> Tensor:
    """Computes netA_sync: ReLU before batch normalisation, pooled by attention."""
    x = norm(store, "model.bn1", conv(store, "model.conv1", x, spec.speech_widths[0], 3, bias=True).relu())
    for stage, (width, blocks) in enumerate(zip(spec.speech_widths, spec.speech_blocks, strict=True), start=1):
        for block in range(blocks):
            name, stride = f"model.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(store, f"{name}.bn1", conv(store, f"{name}.conv1", x, width, 3, stride).relu())
            y = norm(store, f"{name}.bn2", conv(store, f"{name}.conv2", y, width, 3))
            hidden = linear(store, f"{name}.se.fc.0", y.mean(dim=(2, 3)), width // 8).relu()
            y = y * linear(store, f"{name}.se.fc.2", hidden, width).sigmoid()[:, :, None, None]
            if stage > 1 and block == 0:
                x = norm(store, f"{name}.downsample.1", conv(store, f"{name}.downsample.0", x, width, 1, stride))
            x = (x + y).relu()
    x = x.reshape(len(x), -1, x.shape[-1])
    hidden, pooled = spec.speech_attention_dim, x.shape[1]
    weight, bias = store("model.attention.0.weight", hidden, pooled, 1), store("model.attention.0.bias", hidden)
    weights = norm(store, "model.attention.2", functional.conv1d(x, weight, bias).relu())
    weight, bias = store("model.attention.3.weight", pooled, hidden, 1), store("model.attention.3.bias", pooled)
    weights = functional.conv1d(weights, weight, bias).softmax(dim=2)
    return linear(store, "model.fc", (x * weights).sum(dim=2), spec.content_dim)


def generate(store: Store, x: Tensor, style: Tensor, spec: PaperSpec) -> Tensor:
    """Computes netG without its `tanh`: modulated kernels for each sample, one convolution group per sample."""
    widths = spec.generator_widths
    x = styled(store, "conv1", x, style, widths[0], noise=0)
    picture = to_rgb(store, "to_rgb1", x, style)
    for level, width in enumerate(widths[1:]):
        x = styled(store, f"convs.{2 * level}", x, style, width, noise=2 * level + 1, up=True)
        x = styled(store, f"convs.{2 * level + 1}", x, style, width, noise=2 * level + 2)
        kernel = store(f"to_rgbs.{level}.upsample.kernel", 4, 4)
        picture = filtered(picture, kernel, 2, (2, 1)) + to_rgb(store, f"to_rgbs.{level}", x, style)
    return picture


def styled(store: Store, name: str, x: Tensor, style: Tensor, out: int, *, noise: int, up: bool = False) -> Tensor:
    x = modulated(store, f"{name}.conv", x, style, out, up=up)
    side = x.shape[-1]
    x = x + store(f"{name}.noise.weight", 1) * store(f"noises.noise_{noise}", 1, 1, side, side)
    return functional.leaky_relu(x + store(f"{name}.activate.bias", 1, out, 1, 1), 0.2) * 2**0.5


def to_rgb(store: Store, name: str, x: Tensor, style: Tensor) -> Tensor:
    return modulated(store, f"{name}.conv", x, style, 3, kernel=1, demodulate=False) + store(f"{name}.bias", 1, 3, 1, 1)


def modulated(
    store: Store,
    name: str,
    x: Tensor,
    style: Tensor,
    out: int,
    *,
    kernel: int = 3,
    up: bool = False,
    demodulate: bool = True,
) -> Tensor:
    batch, channels, side, _ = x.shape
    affine = store(f"{name}.modulation.weight", channels, style.shape[1]) / style.shape[1] ** 0.5
    scale = functional.linear(style, affine, store(f"{name}.modulation.bias", channels))
    weight = store(f"{name}.weight", 1, out, channels, kernel, kernel) / (channels * kernel**2) ** 0.5
    weight = weight * scale.reshape(batch, 1, channels, 1, 1)
    if demodulate:
        weight = weight * torch.rsqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
    x = x.reshape(1, batch * channels, side, side)
    if up:
        weight = weight.transpose(1, 2).reshape(batch * channels, out, kernel, kernel)
        x = functional.conv_transpose2d(x, weight, stride=2, groups=batch)
        x = x.reshape(batch, out, 2 * side + 1, 2 * side + 1)
        return filtered(x, store(f"{name}.blur.kernel", 4, 4), 1, (1, 1))
    weight = weight.reshape(batch * out, channels, kernel, kernel)
    return functional.conv2d(x, weight, padding=kernel // 2, groups=batch).reshape(batch, out, side, side)


def filtered(x: Tensor, kernel: Tensor, up: int, pad: tuple[int, int]) -> Tensor:
    """Inserts `up` - 1 zeros after each pixel, pads, and filters."""
    batch, channels, side, _ = x.shape
    wide = x.new_zeros(batch, channels, side * up, side * up)
    wide[:, :, ::up, ::up] = x
    wide = functional.pad(wide, (*pad, *pad)).reshape(batch * channels, 1, side * up + sum(pad), side * up + sum(pad))
    x = functional.conv2d(wide, kernel.flip(0, 1)[None, None])
    return x.reshape(batch, channels, *x.shape[2:])


def conv(
    store: Store, name: str, x: Tensor, out: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False
) -> Tensor:
    weight = store(f"{name}.weight", out, x.shape[1] // groups, kernel, kernel)
    return functional.conv2d(x, weight, store(f"{name}.bias", out) if bias else None, stride, kernel // 2, 1, groups)


def norm(store: Store, name: str, x: Tensor) -> Tensor:
    values = [store(f"{name}.{part}", x.shape[1]) for part in ("running_mean", "running_var", "weight", "bias")]
    store.tensors[f"{name}.num_batches_tracked"] = torch.tensor(1)
    return functional.batch_norm(x, *values)


def linear(store: Store, name: str, x: Tensor, out: int) -> Tensor:
    return functional.linear(x, store(f"{name}.weight", out, x.shape[1]), store(f"{name}.bias", out))
