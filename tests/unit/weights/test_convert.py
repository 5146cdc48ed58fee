"""Published checkpoints are converted completely or refused; the message names file, tensor and what was expected."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pcavs import cli
from pcavs.errors import OutputError, WeightsError
from pcavs.models.build import build_model
from pcavs.models.state import fill
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import load_bundle
from pcavs.weights.convert import read_release, run
from pcavs.weights.options import ConvertOptions
from pcavs.weights.published import FILES


def convert(release: Path, spec: TalkerSpec, out: Path | None = None) -> Path:
    return run(ConvertOptions(checkpoints=release, out=out or release / "out.safetensors"), spec)


def refusal(release: Path, spec: TalkerSpec) -> str:
    with pytest.raises(WeightsError) as caught:
        convert(release, spec)
    assert "\n" not in str(caught.value)
    assert not (release / "out.safetensors").exists()
    return str(caught.value)


def test_a_release_becomes_a_bundle(release: Path, tiny: TalkerSpec):
    path = convert(release, tiny)
    bundle = load_bundle(path)
    assert bundle.spec == tiny
    fill(build_model(bundle.spec), bundle.tensors, str(path))
    for name in FILES.values():
        assert bundle.provenance[f"sha256 of {name}"] == hashlib.sha256((release / name).read_bytes()).hexdigest()
    assert "CC-BY-4.0" in bundle.licence
    published = torch.load(release / "latest_net_G.pth", weights_only=True)
    stored = bundle.tensors["generator.synthesis.levels.1.conv.weight"]
    np.testing.assert_array_equal(stored, published["convs.3.conv.weight"][0].numpy())


def test_files_of_old_torch_are_read(release: Path, tiny: TalkerSpec):
    """The release was saved by torch 1.3, before its files were zip archives."""
    before = read_release(release, tiny)
    for name in FILES.values():
        tensors = torch.load(release / name, weights_only=True)
        torch.save(tensors, release / name, _use_new_zipfile_serialization=False)
    after = read_release(release, tiny)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_older_names_of_the_heads_are_accepted(release: Path, tiny: TalkerSpec, change):
    before = read_release(release, tiny)
    older = {
        "to_mouth": "mapper",
        "mouth_embed": "mapper2small",
        "mouth_fc": "mapper_fc",
        "to_headpose": "pure_pose",
        "headpose_embed": "pure_pose2small",
        "headpose_fc": "pure_pose_fc",
    }

    def rename(tensors):
        for name in list(tensors):
            head, _, rest = name.partition(".")
            if head in older:
                tensors[f"{older[head]}.{rest}"] = tensors.pop(name)

    change("E", rename)
    after = read_release(release, tiny)
    assert all(np.array_equal(before[name], after[name]) for name in before)


UNUSED = {
    "E": ["classifier.2.weight", "mouth_fc.1.weight", "headpose_fc.1.bias"],
    "V": ["model.fc.weight", "fc.bias"],
    "A_sync": ["fc.weight"],
    "G": ["style.3.weight", "input.input"],
}


@pytest.mark.parametrize(("label", "name"), [(label, name) for label, names in UNUSED.items() for name in names])
def test_unused_tensors_may_have_any_shape_or_be_missing(release: Path, tiny: TalkerSpec, change, label, name):
    change(label, lambda tensors: tensors.update({name: torch.zeros(3, 5)}))
    read_release(release, tiny)
    change(label, lambda tensors: tensors.pop(name))
    read_release(release, tiny)


def test_counters_may_be_missing(release: Path, tiny: TalkerSpec, change):
    def forget(tensors):
        for name in [name for name in tensors if name.endswith("num_batches_tracked")]:
            tensors.pop(name)

    change("V", forget)
    read_release(release, tiny)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("G", "convs.2.conv.weight"),
        ("G", "noises.noise_4"),
        ("G", "to_rgbs.1.upsample.kernel"),
        ("E", "to_headpose.2.bias"),
        ("E", "model.m0.b2_plus_1.conv1.weight"),
        ("E", "mouth_embed.1.weight"),
        ("V", "model.layer4.0.bn2.running_var"),
        ("V", "conv1x1.weight"),
        ("A_sync", "model.attention.2.running_mean"),
    ],
)
def test_a_missing_tensor_is_named(release: Path, tiny: TalkerSpec, change, label, name):
    shape = tuple(torch.load(release / FILES[label], weights_only=True)[name].shape)
    change(label, lambda tensors: tensors.pop(name))
    assert refusal(release, tiny) == f"{FILES[label]} has no tensor {name}; expected one of shape {shape}"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("G", "convs.10.conv.weight"),
        ("E", "classifier.4.weight"),
        ("E", "model.fc2.weight"),
        ("V", "module.conv1.weight"),
        ("V", "nowhere.num_batches_tracked"),
        ("A_sync", "model.fc2.bias"),
        ("V", "mapper.0.weight"),
    ],
)
def test_an_unknown_tensor_is_named(release: Path, tiny: TalkerSpec, change, label, name):
    change(label, lambda tensors: tensors.update({name: torch.zeros(1)}))
    message = refusal(release, tiny)
    assert message.startswith(f"{FILES[label]} has a tensor {name} that the published")
    assert "expected" in message


def test_renamed_tensors_are_refused(release: Path, tiny: TalkerSpec, change):
    """torch's wrapper for several devices prefixes names with `module.`."""
    change("V", lambda tensors: [tensors.update({f"module.{name}": tensors.pop(name)}) for name in list(tensors)])
    assert refusal(release, tiny).startswith(
        "latest_net_V.pth has no tensor model.conv1.weight; expected one of shape (8, 3, 7"
    )


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("G convs.2.conv.weight", torch.zeros(2, 2), "has shape (2, 2); expected (1, 16, 32, 3, 3)"),
        ("E headpose_embed.1.bias", torch.zeros(6), "has shape (6,); expected (12,)"),
        ("V conv1x1.bias", torch.zeros(32, dtype=torch.int64), "has type int64; expected floating-point numbers"),
        ("A_sync model.fc.bias", torch.full((32,), torch.nan), "holds numbers that are not finite"),
        ("G convs.0.conv.blur.kernel", torch.ones(4, 4), "is another filter; expected the blur [1, 3, 3, 1]"),
        ("V conv1x1.bias", torch.zeros(32).to_sparse(), "is sparse, quantised or without data"),
        ("V conv1x1.bias", "words", "is a str; expected a tensor"),
    ],
)
def test_a_wrong_tensor_is_named(release: Path, tiny: TalkerSpec, change, place, value, message):
    label, name = place.split()
    change(label, lambda tensors: tensors.update({name: value}))
    assert refusal(release, tiny).startswith(f"{FILES[label]}: tensor {name} {message}")


@pytest.mark.parametrize("name", ["latest_net_G.pth", "latest_net_A_sync.pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_a_truncated_file_is_named(release: Path, tiny: TalkerSpec, name, share, zipped):
    tensors = torch.load(release / name, weights_only=True)
    torch.save(tensors, release / name, _use_new_zipfile_serialization=zipped)
    whole = (release / name).read_bytes()
    (release / name).write_bytes(whole[: int(len(whole) * share)])
    message = refusal(release, tiny)
    assert message.startswith(f"{name} is truncated or not a checkpoint (")
    first = "conv1.conv.weight" if "G" in name else "model.conv1.weight"
    assert f"{first} of shape" in message


@pytest.mark.parametrize("label", ["G", "E", "V", "A_sync"])
@pytest.mark.parametrize("other", ["G", "E", "V", "A_sync"])
def test_a_file_with_another_network_is_recognised(release: Path, tiny: TalkerSpec, label, other):
    if label == other:
        return
    (release / FILES[label]).write_bytes((release / FILES[other]).read_bytes())
    message = refusal(release, tiny)
    kinds = {"G": "generator", "E": "motion encoder", "V": "identity encoder", "A_sync": "speech encoder"}
    assert message.startswith(f"{FILES[label]} holds the {kinds[other]} (tensor ")
    assert f"; expected the {kinds[label]}, with tensor " in message


class Trap:
    """Creates a folder if a reader runs the code in a pickle."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False, None], ids=["zip", "old", "bare pickle"])
def test_pickled_code_is_refused_and_not_run(release: Path, tiny: TalkerSpec, tmp_path: Path, zipped):
    mark, path = tmp_path / "ran", release / "latest_net_E.pth"
    tensors = torch.load(path, weights_only=True) | {"to_mouth.0.weight": Trap(mark)}
    if zipped is None:
        path.write_bytes(pickle.dumps(tensors))
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    message = refusal(release, tiny)
    assert message.startswith("latest_net_E.pth ")
    assert "model.conv1.weight" in message
    assert "expected" in message
    assert not mark.exists()
    if zipped is not None:
        assert "holds pickled code (posix.mkdir)" in message
        assert "never run" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "holds a list; expected a dictionary with"),
        ({"state_dict": {}}, ": tensor state_dict is a dict; expected a tensor"),
    ],
)
def test_a_file_that_is_no_state_dict_is_refused(release: Path, tiny: TalkerSpec, content, message):
    torch.save(content, release / "latest_net_V.pth")
    assert refusal(release, tiny).startswith(f"latest_net_V.pth{' ' if message[0] == 'h' else ''}{message}")


def test_a_tensor_under_both_names_is_refused(release: Path, tiny: TalkerSpec, change):
    change("E", lambda tensors: tensors.update({"mapper.0.bias": tensors["to_mouth.0.bias"]}))
    assert "has tensor to_mouth.0.bias twice" in refusal(release, tiny)


def test_missing_files_and_folders_are_named(release: Path, tiny: TalkerSpec, tmp_path: Path):
    (release / "latest_net_V.pth").unlink()
    assert "has no latest_net_V.pth; a release of four files is needed" in refusal(release, tiny)
    with pytest.raises(WeightsError, match=r"no folder .*nowhere; give one with latest_net_G\.pth"):
        read_release(tmp_path / "nowhere", tiny)


def test_the_bundle_needs_its_ending_and_is_not_overwritten(release: Path, tiny: TalkerSpec, tmp_path: Path):
    with pytest.raises(OutputError, match=r"name it NAME\.safetensors"):
        convert(release, tiny, tmp_path / "out.bin")
    (tmp_path / "out.safetensors").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already; choose another name or add --overwrite"):
        convert(release, tiny, tmp_path / "out.safetensors")
    options = ConvertOptions(checkpoints=release, out=tmp_path / "out.safetensors", overwrite=True)
    assert load_bundle(run(options, tiny)).spec == tiny


def test_folder_and_bundle_may_be_positional(release: Path, tiny: TalkerSpec, monkeypatch, capsys):
    monkeypatch.setattr("pcavs.weights.convert.run", lambda options: run(options, tiny))
    out = release / "out.safetensors"
    for words in ([str(release), str(out)], [str(release), "--out", str(out), "--overwrite"]):
        with pytest.raises(SystemExit) as end:
            cli.main(["weights", "convert", *words])
        assert end.value.code == 0
        assert capsys.readouterr().out == f"{out}\n"
    with pytest.raises(SystemExit) as end:
        cli.main(["weights", "convert", str(release)])
    assert end.value.code == 2
    assert "missing: --out" in capsys.readouterr().err


def test_an_unknown_weights_command_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["weights", "melt"])
    assert end.value.code == 2
    assert "weights list, weights show, weights verify" in capsys.readouterr().err
