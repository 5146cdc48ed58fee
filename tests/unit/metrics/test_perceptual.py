"""LPIPS converted from a user's files equals an independent implementation, with random weights."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import WeightsError
from pcavs.metrics.perceptual import find_distances

torch = pytest.importorskip("torch")

ALEX_PLACES = (0, 3, 6, 8, 10)
VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


@pytest.fixture(scope="module")
def converter():
    path = Path(__file__).parents[3] / "scripts" / "convert_judges.py"
    spec = importlib.util.spec_from_file_location("convert_judges", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_files(folder, network):
    """Writes a backbone with torchvision's names, classifier included, and LPIPS's channel weights."""
    generator = torch.Generator().manual_seed(0)
    alex = [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    vgg = [(gives, came, 3) for came, gives in zip([3, *widths], widths, strict=False)]
    shapes, places = (alex, ALEX_PLACES) if network == "alex" else (vgg, VGG_PLACES)
    backbone = {"classifier.1.weight": torch.zeros(2, 2)}
    for place, (gives, came, side) in zip(places, shapes, strict=True):
        spread = (2 / (came * side * side)) ** 0.5
        backbone[f"features.{place}.weight"] = torch.randn(gives, came, side, side, generator=generator) * spread
        backbone[f"features.{place}.bias"] = torch.randn(gives, generator=generator) * 0.1
    depths = [64, 192, 384, 256, 256] if network == "alex" else [64, 128, 256, 512, 512]
    linear = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for n, c in enumerate(depths)}
    files = folder / f"{network}-backbone.pth", folder / f"{network}-linear.pth"
    torch.save(backbone, files[0])
    torch.save(linear, files[1])
    return files, backbone, linear


def by_hand(pictures, backbone, linear, network):
    """Computes the distance of the paper in float64: squared differences of unit feature vectors."""
    conv, pool = torch.nn.functional.conv2d, torch.nn.functional.max_pool2d
    looks = []
    for picture in pictures:
        x = torch.from_numpy(picture.astype(np.float64).transpose(2, 0, 1) / 255 * 2 - 1)[None]
        x = (x - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[
            :, None, None
        ]
        seen = []
        for place in ALEX_PLACES if network == "alex" else VGG_PLACES:
            if network == "alex" and place in (3, 6):
                x = pool(x, 3, 2)
            if network == "vgg" and place in (5, 10, 17, 24):
                x = pool(x, 2, 2)
            stride, padding = {0: (4, 2), 3: (1, 2)}.get(place, (1, 1)) if network == "alex" else (1, 1)
            weight, bias = (backbone[f"features.{place}.{part}"].double() for part in ("weight", "bias"))
            x = conv(x, weight, bias, stride, padding).clamp(min=0)
            if network == "alex" or place in (2, 7, 14, 21, 28):
                seen.append(x[0].numpy())
        looks.append(seen)
    total = 0.0
    for depth, (a, b) in enumerate(zip(*looks, strict=True)):
        a, b = (each / np.maximum(np.linalg.norm(each, axis=0), 1e-10) for each in (a, b))
        weights = linear[f"lin{depth}.model.1.weight"].double().numpy()[0, :, 0, 0]
        total += float(np.einsum("chw,c->hw", (a - b) ** 2, weights).mean())
    return total


@pytest.mark.parametrize("network", ["alex", pytest.param("vgg", marks=pytest.mark.slow)])
def test_converted_network_gives_the_published_distance(tmp_path, converter, network):
    (backbone_file, linear_file), backbone, linear = random_files(tmp_path, network)
    words = ["lpips", "--network", network, "--backbone", str(backbone_file), "--linear", str(linear_file)]
    converter.main([*words, "--out", str(tmp_path / "judges")])
    (judge,) = find_distances(tmp_path / "judges")
    assert judge.name == f"lpips-{network}"
    assert [each["file"] for each in judge.facts["made_of"]] == [backbone_file.name, linear_file.name]
    rng = np.random.default_rng(1)
    # Not the size with which the network was traced.
    made, truth = rng.integers(0, 255, (2, 96, 80, 3)).astype(np.uint8)
    assert judge.distance(made, truth) == pytest.approx(by_hand([made, truth], backbone, linear, network), rel=1e-4)
    assert judge.distance(truth, truth) == 0


def test_wrong_files_are_refused(tmp_path, converter):
    (backbone_file, linear_file), backbone, linear = random_files(tmp_path, "alex")
    with pytest.raises(SystemExit, match="do not make lpips-vgg"):
        converter.convert_lpips("vgg", backbone_file, linear_file, tmp_path)
    torch.save(backbone | {"features.3.weight": torch.zeros(1, 1, 5, 5)}, backbone_file)
    with pytest.raises(SystemExit, match="do not make lpips-alex"):
        converter.convert_lpips("alex", backbone_file, linear_file, tmp_path)
    torch.save(linear | {"lin4.model.1.weight": torch.zeros(1, 9, 1, 1)}, linear_file)
    torch.save(backbone, backbone_file)
    with pytest.raises(SystemExit, match="lin4 has shape"):
        converter.convert_lpips("alex", backbone_file, linear_file, tmp_path)
    assert not list(tmp_path.glob("*.xml"))


class Runs:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("touched-by-a-pickle"),)


def test_code_in_a_pickle_is_not_run(tmp_path, converter, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.weight": Runs()}, tmp_path / "bad.pth")
    with pytest.raises(SystemExit, match="cannot be read as tensors"):
        converter.read_tensors(tmp_path / "bad.pth")
    assert not (tmp_path / "touched-by-a-pickle").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(SystemExit, match="holds no named tensors"):
        converter.read_tensors(tmp_path / "list.pth")


def test_empty_folder_has_no_distance_and_a_damaged_network_is_refused(tmp_path):
    assert find_distances(tmp_path) == []
    (tmp_path / "lpips-alex.xml").write_text("<net/>")
    with pytest.raises(WeightsError, match=r"lpips-alex.xml cannot be used .*convert_judges.py"):
        find_distances(tmp_path)
    (tmp_path / "lpips-alex.json").write_text(json.dumps({"made_of": {}}))
    with pytest.raises(WeightsError, match=r"run scripts/convert_judges\.py again"):
        find_distances(tmp_path)
