"""Writes releases of published checkpoints of any size, with what they compute, by running `helpers.published`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.published import Store, generate, identity, linear, motion, speech
from pcavs.spec import MEL_WINDOW_BINS, MelSpec, PaperSpec

CLASSES = 7
"""Speakers that the training heads classify; the released networks have 5,830."""

LABELS = ("G", "E", "V", "A_sync")

SPEECH_GAIN = 1.2
"""Factor on speech content in the published inference (`mouth_feature_weight`)."""


class Release(NamedTuple):
    """The four networks' tensors by label, and inputs and results by the names of the recorded arrays."""

    stores: dict[str, Store]
    arrays: dict[str, np.ndarray]


def make_release(spec: PaperSpec, seed: int = 0) -> Release:
    """Runs the published inference on random weights and inputs."""
    stores = {label: Store(seed * 10 + number) for number, label in enumerate(LABELS)}
    values = infer(stores, *_inputs(spec, seed), spec)
    _add_unused(stores, spec)
    return Release(stores, {name: value.numpy() for name, value in values.items()})


def record(folder: Path, spec: PaperSpec, seed: int = 0) -> dict[str, np.ndarray]:
    """Runs the published inference on random inputs with the checkpoints of a folder."""
    stores = {label: Store(0) for label in LABELS}
    for label, store in stores.items():
        store.tensors |= torch.load(folder / f"latest_net_{label}.pth", weights_only=True)
    return {name: value.numpy() for name, value in infer(stores, *_inputs(spec, seed), spec).items()}


def _inputs(spec: PaperSpec, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    face, frame = (rng.uniform(-1, 1, (2, 3, spec.frame_px, spec.frame_px)).astype(np.float32) for _ in range(2))
    window = rng.uniform(0, 1, (2, 1, MelSpec().mel_channels, MEL_WINDOW_BINS)).astype(np.float32)
    face, frame, window = (torch.from_numpy(each) for each in (face, frame, window))
    return face, frame, window


def layout(spec: PaperSpec) -> dict[str, dict[str, tuple[int, ...]]]:
    """Returns the shapes of a release's tensors, by label and name; computes nothing."""
    stores = {label: Store(0, "meta") for label in LABELS}
    faces = torch.empty(2, 3, spec.frame_px, spec.frame_px, device="meta")
    infer(stores, faces, faces, torch.empty(2, 1, MelSpec().mel_channels, MEL_WINDOW_BINS, device="meta"), spec)
    _add_unused(stores, spec)
    return {
        label: {name: tuple(value.shape) for name, value in store.tensors.items()} for label, store in stores.items()
    }


@torch.no_grad()
def infer(stores: dict[str, Store], face: Tensor, frame: Tensor, window: Tensor, spec: PaperSpec) -> dict[str, Tensor]:
    """Runs the published inference and returns the arrays that the oracle records."""
    vector, seed_map = identity(stores["V"], face, spec)
    content = speech(stores["A_sync"], window, spec)
    embedding = linear(stores["E"], "mouth_embed.1", (SPEECH_GAIN * content).relu(), spec.content_embedding_dim)
    reference, driving = motion(stores["E"], face, spec), motion(stores["E"], frame, spec)
    style = torch.cat([vector, embedding, driving["pose"]], dim=1)
    pre_tanh = generate(stores["G"], seed_map, style, spec)
    return {
        "in_id": face[:, None],
        "in_pose": frame,
        "in_spec": window,
        "id_vec": vector,
        "id_map": seed_map,
        "audio_feat": content[:, None],
        "mouth_embed": embedding[:, None],
        "ref_pose_code": reference["pose"][:, None],
        "drv_noid": driving["noid"][:, None],
        "drv_headpose": driving["headpose"][:, None],
        "drv_pose_code": driving["pose"][:, None],
        "drv_mouth_visual": driving["mouth"][:, None],
        "style": style,
        "pre_tanh_driven": pre_tanh,
        "out_driven": pre_tanh.tanh(),
    }


def write_release(folder: Path, spec: PaperSpec, seed: int = 0) -> Release:
    """Writes `latest_net_*.pth`, and the arrays as `forward.npz`."""
    release = make_release(spec, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for label, store in release.stores.items():
        torch.save(store.tensors, folder / f"latest_net_{label}.pth")
    np.savez(folder / "forward.npz", **release.arrays)
    return release


def _add_unused(stores: dict[str, Store], spec: PaperSpec) -> None:
    """Adds the tensors that a release contains but inference does not use."""
    for layer in range(1, 9):
        stores["G"](f"style.{layer}.weight", spec.style_dim, spec.style_dim)
        stores["G"](f"style.{layer}.bias", spec.style_dim)
    stores["G"]("input.input", 1, spec.seed_channels, spec.seed_px, spec.seed_px)
    heads = {
        ("E", "classifier.0"): (spec.motion_dim, spec.motion_dim),
        ("E", "classifier.2"): (CLASSES, spec.motion_dim),
        ("E", "mouth_fc.1"): (CLASSES, spec.content_dim),
        ("E", "headpose_fc.1"): (CLASSES, spec.pose_dim),
        ("V", "model.fc"): (1000, spec.identity_dim),
        ("V", "fc"): (CLASSES, spec.identity_dim),
        ("A_sync", "fc"): (CLASSES, spec.content_dim),
    }
    for (label, name), (after, before) in heads.items():
        stores[label](f"{name}.weight", after, before)
        stores[label](f"{name}.bias", after)
