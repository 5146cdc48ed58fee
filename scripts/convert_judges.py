"""Converts the user's own files of LPIPS and SyncNet into judges for `pcavs evaluate`; check their licence terms first.

    python scripts/convert_judges.py lpips --network alex --backbone alexnet.pth --linear alex.pth --out JUDGES
    python scripts/convert_judges.py syncnet --network syncnet_v2.model --out JUDGES

`--backbone` is torchvision's file of AlexNet's or VGG16's weights (alexnet-owt-7be5be79.pth, vgg16-397923af.pth),
`--linear` the file of that network in `weights/v0.1` of the package lpips 0.1.4. Files are read as tensors only;
missing tensors and other shapes are errors. The JSON file beside a network holds the SHA-256 of its sources. JUDGES is
~/.cache/pcavs/judges, or the folder given to `pcavs evaluate --judges`.
"""

import argparse
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any, Final

import openvino as ov
import torch
from torch import Tensor, nn

from pcavs.metrics.syncnet import SYNCNET
from pcavs.models.lpips import Lpips
from pcavs.models.syncnet import SyncNet

_MAX_REASON_CHARACTERS: Final = 160
"""An error message quotes this much of the reason at most, to stay on one line."""


def main(words: list[str] | None = None) -> None:
    """Reads the user's files and writes OpenVINO networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    lpips = kinds.add_parser("lpips", help="LPIPS from torchvision's and lpips's files")
    lpips.add_argument("--network", choices=("alex", "vgg"), required=True)
    lpips.add_argument("--backbone", type=Path, required=True)
    lpips.add_argument("--linear", type=Path, required=True)
    lpips.add_argument("--out", type=Path, required=True)
    syncnet = kinds.add_parser("syncnet", help="the published SyncNet")
    syncnet.add_argument("--network", type=Path, required=True)
    syncnet.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(words)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.kind == "syncnet":
        convert_syncnet(arguments.network, arguments.out)
        return
    convert_lpips(arguments.network, arguments.backbone, arguments.linear, arguments.out)


def convert_lpips(network: str, backbone: Path, linear: Path, out: Path) -> Path:
    """Writes `lpips-alex` or `lpips-vgg` and returns its path."""
    model = Lpips(network)
    try:
        model.load(read_tensors(backbone), read_tensors(linear))
    except (KeyError, RuntimeError) as error:
        raise SystemExit(f"{backbone} and {linear} do not make lpips-{network}: {_reason(error)}") from error
    example = torch.zeros(1, 3, 256, 256)
    # The batch size stays 1, because a free one cannot be traced together with a free picture size.
    shape = [1, 3, -1, -1]
    place = out / f"lpips-{network}"
    return save(model, {"made": (example, shape), "truth": (example, shape)}, place, [backbone, linear])


def convert_syncnet(published: Path, out: Path) -> None:
    """Writes both towers of the published SyncNet."""
    model = SyncNet()
    try:
        model.load(read_tensors(published))
    except (KeyError, RuntimeError) as error:
        raise SystemExit(f"{published} is not SyncNet: {_reason(error)}") from error
    faces, sound = torch.zeros(1, 3, 5, 224, 224), torch.zeros(1, 1, 13, 20)
    save(model.voice, {"cepstra": (sound, list(sound.shape))}, out / f"{SYNCNET}-voice", [published])
    save(model.mouth, {"faces": (faces, list(faces.shape))}, out / f"{SYNCNET}-mouth", [published])


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:_MAX_REASON_CHARACTERS]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the floating-point tensors of a state dict; code in the file is not run."""
    try:
        state: Any = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f"{path} cannot be read as tensors: {_reason(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SystemExit(f"{path} holds no named tensors; give a file with a state dict")
    return {name: value.float() for name, value in state.items() if value.is_floating_point()}


def save(model: nn.Module, inputs: dict[str, tuple[Tensor, list[int]]], place: Path, sources: list[Path]) -> Path:
    """Writes a network, and a JSON file with the SHA-256 of its sources.

    Args:
        model: The network.
        inputs: Name, example and shape of each input; -1 stands for any size.
        place: Path of the files without suffix.
        sources: Files that the weights came from.

    Returns:
        The path of the network.
    """
    shapes = [ov.PartialShape(shape) for _, shape in inputs.values()]
    examples = tuple(example for example, _ in inputs.values())
    network = ov.convert_model(model.eval(), example_input=examples, input=shapes)
    ov.save_model(network, place.with_suffix(".xml"), compress_to_fp16=False)
    made_of = [{"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in sources]
    place.with_suffix(".json").write_text(json.dumps({"name": place.name, "made_of": made_of}, indent=1) + "\n")
    print(place.with_suffix(".xml"))
    return place.with_suffix(".xml")


if __name__ == "__main__":
    main()
