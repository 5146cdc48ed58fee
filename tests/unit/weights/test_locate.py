"""Network folders, finding weights, `weights show` and `weights export`."""

import json
import shutil

import pytest

from helpers.talkers import write_bundle, write_networks
from pcavs.errors import OutputError, WeightsError
from pcavs.spec import TINY_FLOW, TalkerSpec
from pcavs.weights import locate
from pcavs.weights.bundle import load_bundle, save_bundle
from pcavs.weights.export import run as export
from pcavs.weights.networks import FORMAT, MANIFEST, NETWORKS, file_digest, read_manifest, read_networks
from pcavs.weights.options import ExportOptions, ShowOptions
from pcavs.weights.show import show


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a bundle, tiny.safetensors, and its networks in tiny/."""
    place = tmp_path_factory.mktemp("weights")
    write_networks(write_bundle(place / "tiny.safetensors"), place / "tiny", "fp16")
    return place


@pytest.fixture
def place(made, tmp_path):
    return shutil.copytree(made, tmp_path / "weights")


def test_a_folder_has_spec_and_provenance_of_its_bundle(made):
    folder = read_networks(made / "tiny")
    bundle = load_bundle(made / "tiny.safetensors")
    assert folder.spec == bundle.spec == TalkerSpec(flow=TINY_FLOW)
    assert (folder.provenance, folder.licence) == (bundle.provenance, bundle.licence)
    assert folder.digest == file_digest(made / "tiny.safetensors")


def test_a_folder_holds_these_files(made):
    """The files and fields are fixed, because other versions read them."""
    assert sorted(file.name for file in (made / "tiny").iterdir()) == sorted(
        [MANIFEST, *(f"{name}.{ending}" for name in NETWORKS for ending in ("bin", "xml"))]
    )
    facts = json.loads((made / "tiny" / MANIFEST).read_text())
    assert sorted(facts) == ["digest", "files", "format", "licence", "provenance", "spec"]
    assert facts["format"] == FORMAT == "pcavs-networks-1"


def test_networks_contain_no_path_of_this_machine(made):
    for file in (made / "tiny").glob("*.xml"):
        assert str(made.parent) not in file.read_text()


def test_both_forms_are_found_from_either(made):
    found = locate.find_weights(made / "tiny")
    assert found == locate.find_weights(made / "tiny.safetensors")
    assert found.name == "tiny"
    assert None not in found


def test_networks_of_another_bundle_are_ignored(place):
    write_bundle(place / "tiny.safetensors", seed=1)
    assert locate.find_weights(place / "tiny.safetensors").networks is None
    assert locate.find_weights(place / "tiny").bundle is None


def test_the_default_is_the_one_in_the_package(place, monkeypatch):
    monkeypatch.setattr(locate, "packaged_weights", lambda: place)
    monkeypatch.setattr(locate, "DEFAULT", "tiny")
    assert locate.find_weights() == locate.find_weights(place / "tiny")
    shutil.rmtree(place / "tiny")
    assert locate.find_weights().networks is None
    (place / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no default weights in .*; install pcavs again or give --weights"):
        locate.find_weights()


def test_no_folder(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        read_manifest(tmp_path)


def test_a_folder_of_another_format(place):
    (place / "tiny" / MANIFEST).write_text('{"format": "pcavs-networks-9"}')
    with pytest.raises(WeightsError, match="has format pcavs-networks-9, but pcavs-networks-1 is needed"):
        read_manifest(place / "tiny")
    (place / "tiny" / MANIFEST).write_text('{"format": "pcavs-networks-1", "spec": {}, "digest": ""}')
    with pytest.raises(WeightsError, match="has no files, licence, provenance; download"):
        read_manifest(place / "tiny")
    fields = '"spec": {}, "digest": "", "licence": "", "files": {}, "provenance": []'
    (place / "tiny" / MANIFEST).write_text(f'{{"format": "pcavs-networks-1", {fields}}}')
    with pytest.raises(WeightsError, match="has no provenance; download"):
        read_manifest(place / "tiny")
    (place / "tiny" / MANIFEST).write_text("[")
    with pytest.raises(WeightsError, match="is not JSON"):
        read_manifest(place / "tiny")


def test_show_returns_size_spec_and_provenance(made):
    facts = show(ShowOptions(bundle=made / "tiny.safetensors"))
    assert facts["bundle"]["numbers"] > 300_000
    assert facts["networks"]["megabytes"] < facts["bundle"]["megabytes"] + 0.5
    assert facts["spec"]["flow"]["frame_px"] == 64
    assert facts["provenance"] == {"recipe": "random"}
    json.dumps(facts)


def test_export_does_not_overwrite(place):
    options = {"bundle": place / "tiny.safetensors", "out": place / "tiny"}
    with pytest.raises(OutputError, match="exists already"):
        export(ExportOptions(**options))
    (place / "notes").mkdir()
    (place / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files than exported networks"):
        export(ExportOptions(bundle=options["bundle"], out=place / "notes", overwrite=True))
    assert (place / "notes" / "diary.txt").read_text() == "mine"


def test_export_refuses_a_bundle_that_does_not_fit_its_spec(place):
    bundle = load_bundle(place / "tiny.safetensors")
    del bundle.tensors["identity.head.bias"]
    save_bundle(bundle, place / "torn.safetensors")
    with pytest.raises(WeightsError, match=r"has no tensor identity\.head\.bias"):
        export(ExportOptions(bundle=place / "torn.safetensors", out=place / "torn"))
    assert not list(place.glob("torn*/")) + list(place.glob("*.part"))


@pytest.mark.parametrize("change", [{}, {"../secret": "0"}, {"generator.bin": None}])
def test_networks_are_checked_even_if_the_manifest_does_not_list_them(place, change):
    folder = place / "tiny"
    fields = json.loads((folder / MANIFEST).read_text())
    files = fields["files"] | change if change else {}
    fields["files"] = {name: digest for name, digest in files.items() if digest is not None}
    (folder / MANIFEST).write_text(json.dumps(fields))
    with pytest.raises(WeightsError, match="does not list the networks' files exactly"):
        read_networks(folder)
