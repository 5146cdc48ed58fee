"""`weights verify` passes complete weights and prints a line for each fault; `weights list`."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.talkers import write_bundle, write_networks
from pcavs import cli
from pcavs.errors import WeightsError
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import Bundle, load_bundle, save_bundle
from pcavs.weights.convert import run as convert
from pcavs.weights.locate import DEFAULT
from pcavs.weights.networks import file_digest
from pcavs.weights.options import ConvertOptions, ListOptions, VerifyOptions
from pcavs.weights.show import list_weights
from pcavs.weights.verify import Report, run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle with its networks beside it."""
    bundle = write_bundle(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    write_networks(bundle, bundle.with_suffix(""))
    return bundle


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy" / made.name
    networks = copy.with_suffix("")
    networks.mkdir(parents=True)
    copy.write_bytes(made.read_bytes())
    for file in made.with_suffix("").iterdir():
        (networks / file.name).write_bytes(file.read_bytes())
    return copy


def verify(place: Path) -> Report:
    return run(VerifyOptions(weights=place))


def faults(place: Path) -> list[str]:
    report = verify(place)
    assert not report.ok
    return [line for line in report.lines if line.startswith("FAULT: ")]


def test_complete_weights_pass(bundle: Path, capsys: pytest.CaptureFixture[str]):
    for place in (bundle, bundle.with_suffix("")):
        report = verify(place)
        assert report.ok
        assert all(line.startswith("ok: ") for line in report.lines)
        with pytest.raises(SystemExit) as end:
            cli.main(["weights", "verify", str(place)])
        assert end.value.code == 0
    assert "the networks beside it were exported from this bundle" in capsys.readouterr().out


def test_a_converted_release_passes(release: Path, tiny: TalkerSpec):
    path = convert(ConvertOptions(checkpoints=release, out=release / "out.safetensors"), tiny)
    report = verify(path)
    assert report.ok, report.lines
    assert f"SHA-256 {file_digest(path)}" in report.lines[0]


def test_every_fault_of_a_bundle_has_a_line(bundle: Path, capsys: pytest.CaptureFixture[str]):
    whole = load_bundle(bundle)
    tensors = dict(whole.tensors)
    names = list(tensors)
    tensors[names[0]] = np.full_like(tensors[names[0]], np.inf)
    tensors[names[1]] = np.zeros(3, np.float32)
    tensors.pop(names[2])
    tensors["stranger"] = np.zeros(1, np.float32)
    save_bundle(Bundle(spec=whole.spec, tensors=tensors, provenance={}, licence=""), bundle)
    found = faults(bundle)
    assert len(found) == 5
    for part in (
        f"tensor {names[2]} of shape ",
        "tensor stranger is not in the spec",
        f"tensor {names[1]} has shape (3,)",
        f"{names[0]} holds numbers that are not finite",
        "exported from another bundle; export them again",
    ):
        assert any(part in line for line in found), part
    with pytest.raises(SystemExit) as end:
        cli.main(["weights", "verify", str(bundle)])
    assert end.value.code == 1
    assert capsys.readouterr().out.count("FAULT") == 5


def test_a_truncated_bundle_is_a_fault(bundle: Path):
    bundle.write_bytes(bundle.read_bytes()[:-100])
    assert len(faults(bundle)) == 1


def test_a_changed_network_is_a_fault(bundle: Path):
    file = bundle.with_suffix("") / "speech.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 255
    file.write_bytes(content)
    (fault,) = faults(bundle.with_suffix(""))
    assert "speech.bin is damaged" in fault


def test_numbers_of_networks_are_checked(bundle: Path):
    """A digest shows that a file is as it was written, not that its numbers are finite."""
    networks = bundle.with_suffix("")
    file = networks / "speech.bin"
    content = np.fromfile(file, np.float32)
    content[1000:1010] = np.nan
    content.tofile(file)
    facts = json.loads((networks / "spec.json").read_text())
    facts["files"]["speech.bin"] = file_digest(file)
    (networks / "spec.json").write_text(json.dumps(facts))
    assert any("speech.xml: " in fault and "not finite" in fault for fault in faults(networks))


def test_a_missing_path_is_an_error(tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights at"):
        verify(tmp_path / "nowhere")


def test_the_list_shows_the_package_and_a_folder(bundle: Path, release: Path, tiny: TalkerSpec):
    folder = bundle.parent
    convert(ConvertOptions(checkpoints=release, out=folder / "published.safetensors"), tiny)
    (folder / "broken.safetensors").write_bytes(b"broken")
    rows = list_weights(ListOptions(folder=folder))
    assert rows[0] == "in the package:"
    assert any(row.startswith(f"  {DEFAULT}: flow, faces 128 px, film 256 px; networks ") for row in rows)
    mine = rows[rows.index(f"{folder}:") + 1 :]
    assert [row.split(":")[0] for row in mine] == ["  broken", "  published", "  tiny"]
    assert mine[0].startswith("  broken: unreadable: ")
    assert mine[1].startswith("  published: paper, faces 64 px, film 64 px; bundle ")
    assert " MB, bundle " in mine[2]


def test_the_list_needs_a_folder(tmp_path: Path):
    with pytest.raises(WeightsError, match="no folder"):
        list_weights(ListOptions(folder=tmp_path / "nowhere"))
