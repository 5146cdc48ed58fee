"""`pcavs weights export`: a bundle to OpenVINO networks; needs torch."""

import contextlib
import dataclasses
import warnings
from collections.abc import Generator
from typing import Final

import torch
from torch import Tensor, nn

from pcavs.errors import OutputError
from pcavs.media.files import atomic_folder
from pcavs.models.build import build_model
from pcavs.models.fast_paper import FastFaceNetwork
from pcavs.models.inference import FaceNetwork, inference_networks
from pcavs.models.state import fill
from pcavs.spec import MEL_WINDOW_BINS, FlowSpec, PaperSpec, TalkerSpec
from pcavs.vino import ov
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import NETWORKS, NetworkFolder, file_digest, is_network_folder, write_manifest
from pcavs.weights.options import ExportOptions

_ANY: Final = -1
"""OpenVINO's size of an axis of any length."""


def run(options: ExportOptions) -> NetworkFolder:
    """Exports a bundle to a network folder, written whole or not at all; takes a few seconds.

    Raises:
        WeightsError: The bundle is damaged or does not fit its own spec.
        OutputError: The folder exists, or cannot be written.
    """
    bundle = load_bundle(options.bundle)
    _check_target(options)
    model = build_model(bundle.spec)
    fill(model, bundle.tensors, str(options.bundle))
    with atomic_folder(options.out) as part:
        folder = NetworkFolder(
            path=part,
            spec=bundle.spec,
            digest=file_digest(options.bundle),
            provenance=bundle.provenance,
            licence=bundle.licence,
        )
        networks = inference_networks(model)
        for name in NETWORKS:
            network = convert(networks[name], example_inputs(name, bundle.spec))
            ov.save_model(network, part / f"{name}.xml", compress_to_fp16=options.precision == "fp16")
        write_manifest(folder)
    return dataclasses.replace(folder, path=options.out)


def example_inputs(name: str, spec: TalkerSpec, batch: int = 1) -> tuple[Tensor, ...]:
    """Returns random inputs of the right shapes and types for one of the networks of `inference_networks`."""
    if name == "speech":
        if spec.kind == "flow" and spec.flow.features is not None:
            return (torch.randn(batch, spec.flow.states_per_window, spec.flow.features.dim),)
        return (torch.rand(batch, 1, spec.mel.mel_channels, MEL_WINDOW_BINS),)
    if name != "generator":
        side = spec.sizes.frame_px
        return (torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8),)
    if spec.kind == "paper":
        return _paper_generator_inputs(spec.paper, batch)
    return _flow_generator_inputs(spec.flow, batch)


def _paper_generator_inputs(paper: PaperSpec, batch: int) -> tuple[Tensor, ...]:
    codes = (paper.content_dim, paper.pose_dim, paper.identity_dim)
    seed = torch.randn(batch, paper.seed_channels, paper.seed_px, paper.seed_px)
    return (*(torch.randn(batch, size) for size in codes), seed)


def _flow_generator_inputs(flow: FlowSpec, batch: int) -> tuple[Tensor, ...]:
    codes = (flow.content_dim, flow.pose_dim, flow.identity_dim, flow.content_dim, flow.pose_dim)
    maps = [
        torch.randn(batch, width, flow.frame_px >> level, flow.frame_px >> level)
        for level, width in reversed(list(enumerate(flow.identity_widths[:-1], start=1)))
    ]
    return (*(torch.randn(batch, size) for size in codes), *maps)


def convert(network: nn.Module, inputs: tuple[Tensor, ...]) -> ov.Model:
    """Converts one network to OpenVINO.

    Args:
        network: Of `inference_networks`. The `paper` generator is replaced by its faster form, `models.fast_paper`.
        inputs: Examples. Encoders, which have one input, accept any batch; a generator that of the examples.
    """
    is_encoder = len(inputs) == 1
    shapes = [ov.PartialShape([_ANY if is_encoder else value.shape[0], *value.shape[1:]]) for value in inputs]
    if isinstance(network, FaceNetwork):
        network = FastFaceNetwork(network.generator, len(inputs[0]), bounded=network.bounded)
    with _without_tracer_warnings(), torch.no_grad():  # with gradients, every partial sum would stay in memory
        model = ov.convert_model(network, example_input=inputs, input=shapes)
    _remove_zero_rows(model)
    return model


def _remove_zero_rows(model: ov.Model) -> None:
    """Removes the rows of zeros that `models.winograd` appends to its inputs, and with them a copy of all features.

    Torch cannot read a row after the last one, so the module appends a row of zeros. OpenVINO's Gather returns zeros
    for such a row (operation set 8, out-of-range indices).
    """
    for node in model.get_ops():
        if node.get_type_name() != "Gather":
            continue
        padded = node.input_value(0).get_node()
        if padded.get_type_name() != "Concat" or padded.get_input_size() != 2:
            continue
        zeros = padded.input_value(1).get_node()
        if zeros.get_type_name() == "Constant" and list(zeros.get_output_shape(0))[:-1] == [1] and not zeros.data.any():
            node.input(0).replace_source_output(padded.input_value(0))


@contextlib.contextmanager
def _without_tracer_warnings() -> Generator[None]:
    """Hides torch's warnings that Python numbers become constants; here they are sizes from the spec."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _check_target(options: ExportOptions) -> None:
    out = options.out
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not is_network_folder(out)):
        raise OutputError(f"{out} holds other files than exported networks; choose another folder")
    if out.resolve() in options.bundle.resolve().parents:
        raise OutputError(f"{out} holds the bundle {options.bundle.name}, and would be replaced; choose another folder")
    if is_network_folder(out) and not options.overwrite:
        raise OutputError(f"{out} exists already; choose another folder or add --overwrite")
