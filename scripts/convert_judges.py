"""Makes judges of published weights that the user brings, where their terms suit him; `pcavs evaluate` finds them.

    python scripts/convert_judges.py lpips --network alex --backbone alexnet.pth --linear alex.pth --out JUDGES
    python scripts/convert_judges.py syncnet --network syncnet_v2.model --out JUDGES

`--backbone` is torchvision's file of AlexNet's or VGG16's weights (alexnet-owt-7be5be79.pth, vgg16-397923af.pth),
`--linear` the one of that network in `weights/v0.1` of the package lpips 0.1.4. Files are read as tensors and nothing
else; what is missing or of another shape is refused. The facts beside the network say by SHA-256 what it was made
of. JUDGES is ~/.cache/pcavs/judges, or the folder that `pcavs evaluate --judges` is given.
"""

import argparse
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from torch import Tensor, nn

from pcavs.metrics.syncnet import SYNCNET
from pcavs.models.lpips import Lpips
from pcavs.models.syncnet import SyncNet


def main(words: list[str] | None = None) -> None:
    """Reads the user's files and writes a network for OpenVINO."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    lpips = kinds.add_parser("lpips")
    lpips.add_argument("--network", choices=("alex", "vgg"), required=True)
    lpips.add_argument("--backbone", type=Path, required=True)
    lpips.add_argument("--linear", type=Path, required=True)
    lpips.add_argument("--out", type=Path, required=True)
    syncnet = kinds.add_parser("syncnet")
    syncnet.add_argument("--network", type=Path, required=True)
    syncnet.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(words)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.kind == "syncnet":
        convert_syncnet(arguments.network, arguments.out)
        return
    convert_lpips(arguments.network, arguments.backbone, arguments.linear, arguments.out)


def convert_lpips(network: str, backbone: Path, linear: Path, out: Path) -> Path:
    """Writes `lpips-alex` or `lpips-vgg`."""
    model = Lpips(network)
    try:
        model.load(read_tensors(backbone), read_tensors(linear))
    except (KeyError, RuntimeError) as error:
        told = " ".join(str(error).split())[:160]
        raise SystemExit(f"{backbone} and {linear} do not make lpips-{network}: {told}") from error
    example = torch.zeros(1, 3, 256, 256)
    # One by one: a batch of other sizes than the example's would need shapes that are not known.
    shape = [1, 3, -1, -1]
    place = out / f"lpips-{network}"
    return save(model, {"made": (example, shape), "truth": (example, shape)}, place, [backbone, linear])


def convert_syncnet(published: Path, out: Path) -> None:
    """Writes both towers of the published SyncNet."""
    model = SyncNet()
    try:
        model.load(read_tensors(published))
    except (KeyError, RuntimeError) as error:
        raise SystemExit(f"{published} is not SyncNet: {' '.join(str(error).split())[:160]}") from error
    faces, sound = torch.zeros(1, 3, 5, 224, 224), torch.zeros(1, 1, 13, 20)
    save(model.voice, {"cepstra": (sound, list(sound.shape))}, out / f"{SYNCNET}-voice", [published])
    save(model.mouth, {"faces": (faces, list(faces.shape))}, out / f"{SYNCNET}-mouth", [published])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a file of named tensors; anything else in it is refused, not run."""
    try:
        state: Any = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise SystemExit(f"{path} cannot be read as tensors: {' '.join(str(error).split())[:160]}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SystemExit(f"{path} holds no named tensors; a state dict is needed")
    return {name: value.float() for name, value in state.items() if value.is_floating_point()}


def save(model: nn.Module, inputs: dict[str, tuple[Tensor, list[int]]], place: Path, sources: list[Path]) -> Path:
    """Writes a network, and the facts of its weights.

    Args:
        model: What is written.
        inputs: An example of each and its shape; -1 where any size will do.
        place: Of the files, without their endings.
        sources: Files that the weights came from.
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
