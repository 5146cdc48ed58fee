"""Bundles are read back as written, and damaged ones are refused in one line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pcavs.errors import OutputError, WeightsError
from pcavs.spec import TalkerSpec
from pcavs.weights.bundle import FORMAT, Bundle, load_bundle, load_provenance, read_spec, save_bundle


@pytest.fixture
def bundle(tiny_spec: TalkerSpec) -> Bundle:
    rng = np.random.default_rng(0)
    tensors = {
        "weight": rng.normal(0, 1, (3, 4)).astype(np.float32),
        "scalar": np.array(2.5, np.float32),
        "count": np.arange(5),
    }
    return Bundle(spec=tiny_spec, tensors=tensors, provenance={"recipe": "none", "steps": "7"}, licence="Apache-2.0")


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    return text


def test_round_trip(bundle: Bundle, tmp_path: Path):
    save_bundle(bundle, tmp_path / "deep" / "a.safetensors")
    back = load_bundle(tmp_path / "deep" / "a.safetensors")
    assert (back.spec, back.provenance, back.licence) == (bundle.spec, bundle.provenance, bundle.licence)
    assert read_spec(tmp_path / "deep" / "a.safetensors") == bundle.spec
    assert back.tensors.keys() == bundle.tensors.keys()
    for name, value in bundle.tensors.items():
        np.testing.assert_array_equal(back.tensors[name], value, strict=True)


def test_half_precision_halves_floats_and_keeps_integers(bundle: Bundle, tmp_path: Path):
    large = dataclasses.replace(bundle, tensors={"x": np.ones((300, 300), np.float32), "n": np.arange(5)})
    save_bundle(large, tmp_path / "full.safetensors")
    save_bundle(large, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.52 * (tmp_path / "full.safetensors").stat().st_size

    save_bundle(bundle, tmp_path / "b.safetensors", half=True)
    back = load_bundle(tmp_path / "b.safetensors")
    assert back.tensors["weight"].dtype == np.float32
    np.testing.assert_allclose(back.tensors["weight"], bundle.tensors["weight"], rtol=1e-3)
    np.testing.assert_array_equal(back.tensors["count"], bundle.tensors["count"], strict=True)


def test_strided_arrays_are_stored_in_c_order(bundle: Bundle, tmp_path: Path):
    turned = np.arange(12, dtype=np.float32).reshape(3, 4).T
    save_bundle(dataclasses.replace(bundle, tensors={"x": turned}), tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_bundle(tmp_path / "a.safetensors").tensors["x"], turned)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights at .*none.safetensors; `pcavs weights list`") as caught:
        load_bundle(tmp_path / "none.safetensors")
    one_line(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file, long enough to look like something\n" * 4])
def test_a_text_file_is_refused(content: bytes, tmp_path: Path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="is not a whole safetensors file") as caught:
        load_bundle(tmp_path / "a.safetensors")
    one_line(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.9, 0.999])
def test_a_truncated_file_is_refused(share: float, bundle: Bundle, tmp_path: Path):
    save_bundle(bundle, tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(data[: int(len(data) * share)])
    for read in (load_bundle, read_spec):
        with pytest.raises(WeightsError, match="is not a whole safetensors file") as caught:
            read(tmp_path / "a.safetensors")
        one_line(caught.value)


@pytest.mark.parametrize(
    ("metadata", "found"), [(None, "none"), ({"format": "pt"}, "pt"), ({"format": "pcavs-bundle-99"}, "99")]
)
def test_another_format_is_refused(metadata: dict[str, str] | None, found: str, tmp_path: Path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=f"has format .*{found}, but a bundle has {FORMAT}") as caught:
        load_bundle(tmp_path / "a.safetensors")
    one_line(caught.value)


def test_missing_metadata_is_refused(tmp_path: Path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata={"format": FORMAT})
    with pytest.raises(WeightsError, match="has no licence, provenance, spec in its metadata") as caught:
        load_bundle(tmp_path / "a.safetensors")
    one_line(caught.value)


@pytest.mark.parametrize("provenance", ["[]", '{"untrained": 3}', "x"])
def test_provenance_that_is_no_object_of_texts_is_refused(provenance: str, bundle: Bundle, tmp_path: Path):
    metadata = {"format": FORMAT, "spec": bundle.spec.to_json(), "provenance": provenance, "licence": ""}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match="is damaged: its provenance is no[t ]") as caught:
        load_provenance(tmp_path / "a.safetensors")
    one_line(caught.value)


def test_a_setting_of_a_later_version_is_refused(bundle: Bundle, tmp_path: Path):
    spec = json.loads(bundle.spec.to_json())
    spec["flow"]["wings"] = 2
    metadata = {"format": FORMAT, "spec": json.dumps(spec), "provenance": "{}", "licence": ""}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=r"FlowSpec has fields that this version does not know \(wings\)"):
        load_bundle(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "spec", ["[", "3", '"flow"', "{}", '{"kind": []}', '{"kind": "flow"}', '{"kind": "flow", "mel": 3}', "[" * 5000]
)
def test_a_damaged_spec_is_refused(spec: str, tmp_path: Path):
    metadata = {"format": FORMAT, "spec": spec, "provenance": "{}", "licence": ""}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError) as caught:
        read_spec(tmp_path / "a.safetensors")
    one_line(caught.value)


def test_a_damaged_provenance_is_refused(bundle: Bundle, tmp_path: Path):
    metadata = {"format": FORMAT, "spec": bundle.spec.to_json(), "provenance": "{", "licence": ""}
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match="its provenance is not JSON") as caught:
        load_bundle(tmp_path / "a.safetensors")
    one_line(caught.value)


def test_a_failed_write_keeps_the_old_file_and_leaves_no_partial_one(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.safetensors"
    save_bundle(bundle, path)
    before = path.read_bytes()

    def full_disk(tensors: object, part: Path, **_: object):
        part.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pcavs.media.files.save_file", full_disk)
    with pytest.raises(OutputError, match="a.safetensors cannot be written .*No space left.*free some space") as caught:
        save_bundle(dataclasses.replace(bundle, licence="other"), path)
    one_line(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_folder_that_cannot_be_created_is_named(bundle: Bundle, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        save_bundle(bundle, tmp_path / "file" / "a.safetensors")
