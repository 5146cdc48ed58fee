"""Loads a talker: its weights into the runtime of a device, and the networks that find faces."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pcavs.animate.options import Device
from pcavs.animate.talker import Talker
from pcavs.errors import InputError, install_hint
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.person import PersonSegmenter
from pcavs.mouth.own_teeth import find_teeth
from pcavs.parallel import available_cores
from pcavs.pose.calibration import find_map
from pcavs.runtime.base import Runtime
from pcavs.runtime.features import load_features
from pcavs.runtime.openvino import OpenVinoRuntime
from pcavs.weights.bundle import load_bundle
from pcavs.weights.locate import Weights, check_trained, find_weights
from pcavs.weights.networks import read_networks

_MAX_WORKERS: Final = 8
"""Frames that are rendered at the same time if nothing else is asked for: with more, encoding takes longest."""
_NEEDS_TORCH: Final = f"needs torch; run {install_hint('train')}"
"""End of the message about weights or a device that only torch can run."""


def load_talker(place: Path | None, device: Device, threads: int = 0) -> Talker:
    """Loads weights into the runtime of a device, and loads the face networks.

    Args:
        place: A bundle or a network folder; None is the talker in the package.
        device: `cpu` runs OpenVINO, `cuda` runs torch, `auto` is `cpu` unless only torch can run the weights.
        threads: Processor threads of OpenVINO; 0 uses all.

    Raises:
        WeightsError: There are no such weights, they are damaged, or a network of theirs is untrained.
        InputError: The device cannot be used.
    """
    weights = find_weights(place)
    check_trained(weights)
    use_torch = device == "cuda" or weights.networks is None
    # Torch computes each frame on all processors, so its frames are rendered one at a time.
    workers = 1 if use_torch else threads or min(available_cores(), _MAX_WORKERS)
    with ThreadPoolExecutor(2) as pool:
        landmarker, segmenter = pool.submit(FaceLandmarker), pool.submit(PersonSegmenter)
        runtime = _torch_runtime(weights, device) if use_torch else _openvino_runtime(weights, threads, workers, pool)
        return Talker(
            runtime,
            landmarker.result(),
            weights.name,
            weights.digest,
            find_map(weights),
            segmenter=segmenter.result(),
            teeth=find_teeth(weights),
            workers=workers,
        )


def _openvino_runtime(weights: Weights, threads: int, streams: int, pool: ThreadPoolExecutor) -> Runtime:
    assert weights.networks is not None
    folder = read_networks(weights.networks)
    features = pool.submit(load_features, folder.spec, threads)
    runtime = OpenVinoRuntime(folder.path, folder.spec, threads=threads, streams=streams)
    runtime.features = features.result()
    return runtime


def _torch_runtime(weights: Weights, device: Device) -> Runtime:
    if weights.bundle is None:
        raise InputError(f"{weights.networks} holds networks for the cpu only; give the bundle to use {device}")
    try:
        from pcavs.models.build import build_model
        from pcavs.models.inference import inference_networks
        from pcavs.models.state import fill
        from pcavs.runtime.torch import TorchRuntime, torch_device
    except ModuleNotFoundError as error:
        reason = "--device cuda" if device == "cuda" else f"{weights.bundle} without exported networks beside it"
        raise InputError(f"{reason} {_NEEDS_TORCH}") from error
    chosen = torch_device(device)
    bundle = load_bundle(weights.bundle)
    talker = build_model(bundle.spec)
    fill(talker, bundle.tensors, str(weights.bundle))
    return TorchRuntime(inference_networks(talker), bundle.spec, chosen, load_features(bundle.spec))
