"""`pcavs weights export`: a bundle becomes OpenVINO networks; needs torch."""

import contextlib
import shutil
import warnings
from collections.abc import Generator
from typing import Final

import openvino as ov
import torch
from torch import Tensor, nn

from pcavs.errors import OutputError
from pcavs.models.fast_paper import FasterFace
from pcavs.models.plain import PlainFace, plain_networks
from pcavs.models.state import fill
from pcavs.models.talker import build_talker
from pcavs.spec import MEL_WINDOW_BINS, FlowSpec, PaperSpec, TalkerSpec
from pcavs.weights.bundle import load_bundle
from pcavs.weights.networks import NETWORKS, NetworkFolder, file_digest, is_network_folder, write_facts
from pcavs.weights.options import ExportOptions

_ANY: Final = -1


def run(options: ExportOptions) -> NetworkFolder:
    """Converts a bundle's talker, whole or not at all; takes a few seconds.

    Raises:
        WeightsError: The bundle is damaged or does not fit its own spec.
        OutputError: The folder is there already, or cannot be written.
    """
    bundle = load_bundle(options.bundle)
    _check_target(options)
    talker = build_talker(bundle.spec)
    fill(talker, bundle.tensors, str(options.bundle))
    part = options.out.with_name(options.out.name + ".part")
    folder = NetworkFolder(
        path=part,
        spec=bundle.spec,
        digest=file_digest(options.bundle),
        provenance=bundle.provenance,
        licence=bundle.licence,
    )
    try:
        part.mkdir(parents=True, exist_ok=True)
        networks = plain_networks(talker)
        for name in NETWORKS:
            model = convert(networks[name], example_inputs(name, bundle.spec))
            ov.save_model(model, part / f"{name}.xml", compress_to_fp16=options.precision == "fp16")
        write_facts(folder)
        if options.out.exists():
            shutil.rmtree(options.out)
        part.replace(options.out)
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error.strerror}; choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return NetworkFolder(
        path=options.out,
        spec=folder.spec,
        digest=folder.digest,
        provenance=folder.provenance,
        licence=folder.licence,
    )


def example_inputs(name: str, spec: TalkerSpec, batch: int = 1) -> tuple[Tensor, ...]:
    """Makes inputs of the right shapes and kinds for one of the four networks; their values mean nothing."""
    if name == "speech":
        return (torch.rand(batch, 1, spec.mel.mel_channels, MEL_WINDOW_BINS),)
    if name != "generator":
        side = spec.sizes.frame_px
        return (torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8),)
    return _paper_example(spec.paper, batch) if spec.kind == "paper" else _flow_example(spec.flow, batch)


def _paper_example(paper: PaperSpec, batch: int) -> tuple[Tensor, ...]:
    codes = (paper.content_dim, paper.pose_dim, paper.identity_dim)
    seed = torch.randn(batch, paper.seed_channels, paper.seed_px, paper.seed_px)
    return (*(torch.randn(batch, size) for size in codes), seed)


def _flow_example(flow: FlowSpec, batch: int) -> tuple[Tensor, ...]:
    codes = (flow.content_dim, flow.pose_dim, flow.identity_dim, flow.content_dim, flow.pose_dim)
    maps = [
        torch.randn(batch, width, flow.frame_px >> level, flow.frame_px >> level)
        for level, width in reversed(list(enumerate(flow.identity_widths[:-1], start=1)))
    ]
    return (*(torch.randn(batch, size) for size in codes), *maps)


def convert(network: nn.Module, inputs: tuple[Tensor, ...]) -> ov.Model:
    """Converts one network; encoders take any number of samples, a generator as many as its inputs.

    The `paper` generator is rewritten on the way: see `exchange.faster`.
    """
    is_encoder = len(inputs) == 1
    shapes = [ov.PartialShape([_ANY if is_encoder else value.shape[0], *value.shape[1:]]) for value in inputs]
    if isinstance(network, PlainFace):
        network = FasterFace(network.generator, len(inputs[0]), bounded=network.bounded)
    with _without_chatter(), torch.no_grad():  # gradients would keep every sum of the tiles in memory
        model = ov.convert_model(network, example_input=inputs, input=shapes)
    _leave_zeros_to_gather(model)
    return model


def _leave_zeros_to_gather(model: ov.Model) -> None:
    # Torch cannot pick a row behind the last, so `tiles` adds a row of zeros, at the price of a copy of all the
    # others; OpenVINO's Gather gives zeros for such a row by itself (operation set 8, out-of-range indices).
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
def _without_chatter() -> Generator[None]:
    """Tracing warns of Python numbers in shapes; here shapes are facts of the spec, so that is as meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _check_target(options: ExportOptions) -> None:
    out = options.out
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not is_network_folder(out)):
        raise OutputError(f"{out} holds something else than networks; choose another folder")
    if is_network_folder(out) and not options.overwrite:
        raise OutputError(f"{out} exists already; choose another folder or add --overwrite")
