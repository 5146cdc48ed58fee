"""`pcavs verify` on signed files of other software: a result in one line, no trace, no network."""

import contextlib
import json
import random
import socket
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from helpers.sounds import write_wav
from pcavs.errors import InputError
from pcavs.media.film import FilmWriter
from pcavs.provenance import keys
from pcavs.provenance.credentials import read_credentials
from pcavs.provenance.verify import verify

c2pa = pytest.importorskip("c2pa")
CREATED = {
    "label": "c2pa.actions.v2",
    "data": {
        "actions": [
            {
                "action": "c2pa.created",
                "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
            }
        ]
    },
}


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PCAVS_DATA", str(tmp_path / "own"))


def sign(source: Path, form: str, manifest: dict[str, Any], parent: Path | None = None, url: str | None = None) -> Path:
    """Signs a file with a root of its own, as other software would."""
    chain, key = keys._new_keys()[2:]
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key, None))
    signed = source.with_name(f"signed-{source.name}")
    quiet = {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}
    settings = c2pa.Settings.from_dict(quiet)
    with c2pa.Context(settings=settings, signer=signer) as context:
        builder = c2pa.Builder(manifest, context=context)
        if parent is not None:
            with parent.open("rb") as file:
                builder.add_ingredient({"title": "before", "relationship": "parentOf"}, form, file)
        if url is not None:
            builder.set_no_embed()
            builder.set_remote_url(url)
        with source.open("rb") as file, signed.open("w+b") as target:
            builder.sign(form, file, target)
    return signed


def camera(*assertions: dict[str, Any]) -> dict[str, Any]:
    return {"claim_generator_info": [{"name": "A camera", "version": "3"}], "assertions": list(assertions)}


@pytest.fixture
def files(tmp_path: Path, examples: Path) -> dict[str, Path]:
    """Files of five kinds that other software makes."""
    jpeg = tmp_path / "face.jpg"
    jpeg.write_bytes((examples / "face.jpg").read_bytes())
    png, film = tmp_path / "picture.png", tmp_path / "film.mp4"
    with av.open(str(png), "w", format="image2") as container:
        stream = container.add_stream("png")
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
    with FilmWriter(film) as writer:
        for _ in range(5):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    sound = write_wav(tmp_path / "sound.wav", 0.1 * np.random.default_rng(0).standard_normal(16_000))
    return {"image/jpeg": jpeg, "image/png": png, "video/mp4": film, "audio/wav": sound}


@pytest.mark.parametrize("form", ["image/jpeg", "image/png", "video/mp4", "audio/wav"])
def test_files_of_other_software_are_valid_and_their_makers_named(files: dict[str, Path], form: str):
    found = verify(sign(files[form], form, camera(CREATED)))
    assert (found.credentials.state, found.exit_code) == ("valid", 0)
    assert (found.credentials.software, found.credentials.source_type) == ("A camera 3", "digitalCapture")
    assert "it says that a camera recorded it" in found.sentence
    assert found.credentials.film == {}


def test_credentials_without_actions_say_nothing_about_their_kind(files: dict[str, Path]):
    found = verify(sign(files["image/jpeg"], "image/jpeg", camera({"label": "org.other.note", "data": {"text": "x"}})))
    assert found.credentials.source_type is None
    assert found.credentials.state in ("valid", "broken")  # the standard asks for actions
    assert all(len(line.splitlines()) == 1 for line in found.lines())


def test_of_a_chain_of_edits_the_last_is_reported(files: dict[str, Path]):
    first = sign(files["image/jpeg"], "image/jpeg", camera(CREATED))
    edited = {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.opened"}, {"action": "c2pa.edited"}]}}
    editor = {"claim_generator_info": [{"name": "An editor"}], "assertions": [edited]}
    second = sign(first, "image/jpeg", editor, parent=first)
    found = verify(second)
    assert found.credentials.software == "An editor"
    assert found.credentials.source_type is None


def test_credentials_elsewhere_are_not_fetched(files: dict[str, Path]):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        signed = sign(files["image/jpeg"], "image/jpeg", camera(CREATED), url=url)
        assert url.encode() in signed.read_bytes()
        found = verify(signed)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (found.credentials.state, found.exit_code) == ("absent", 4)


@pytest.mark.parametrize("form", ["image/jpeg", "audio/wav"])
def test_broken_manifests_are_reported_in_lines(files: dict[str, Path], form: str):
    data = sign(files[form], form, camera(CREATED)).read_bytes()
    place = data.index(b"c2pa.signature" if b"c2pa.signature" in data else b"c2pa")
    chance, path = random.Random(0), files[form].with_name(f"broken-{files[form].name}")
    states = set()
    for _ in range(10):
        broken = bytearray(data)
        for _ in range(20):
            broken[place + chance.randrange(-800, 800)] = chance.randrange(256)
        path.write_bytes(broken)
        with contextlib.suppress(InputError):
            found = verify(path)
            states.add(found.credentials.state)
            assert all(len(line.splitlines()) == 1 for line in found.lines())
            json.dumps(found.to_json())
    assert states <= {"broken", "absent"}
    assert states


def test_what_a_store_may_leave_out_is_left_out(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]):
    """Foreign manifests with unusual values."""
    stores = [
        {},
        {"active_manifest": "a"},
        {"active_manifest": "a", "manifests": {"a": {"assertions": [{"label": "c2pa.actions"}, {"data": 3}, 4]}}},
        {"active_manifest": "a", "manifests": {"a": {"assertions": [{"label": "c2pa.actions", "data": [1]}]}}},
        {"active_manifest": "a", "manifests": {"a": {"claim_generator_info": None, "signature_info": None}}},
        {"validation_status": [{}], "manifests": None},
    ]
    signed = sign(files["image/jpeg"], "image/jpeg", camera(CREATED))
    for store in stores:
        monkeypatch.setattr(c2pa.Reader, "json", lambda self, store=store: json.dumps(store))
        found = read_credentials(signed, b"")
        assert (found.source_type, found.film) == (None, {})
