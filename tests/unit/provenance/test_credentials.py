"""Signed credentials: keys of the user, what a film says, what breaks it, and what `pcavs verify` makes of files."""

import contextlib
import datetime
import os
import random
import stat
from pathlib import Path

import av
import numpy as np
import pytest

import pcavs
from helpers.sounds import write_noise, write_wav
from pcavs.animate.origin import Origin, read_consent
from pcavs.errors import InputError, OutputError
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.provenance import keys
from pcavs.provenance.credentials import Signing, Statement, file_digest, sign
from pcavs.provenance.verify import verify

c2pa = pytest.importorskip("c2pa")
SECRET = b"user_with_a_name"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of this test's own."""
    monkeypatch.setenv("PCAVS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def statement(*inputs: tuple[str, Path], **more: object) -> Statement:
    facts = {"title": "A film", "version": pcavs.__version__, "weights": "tiny", "weights_digest": "0" * 64}
    return Statement(**facts, marks=("audio 1",), inputs=inputs, **more)


def write_film(path: Path, frames: int = 75, **choice: object) -> Path:
    """A signed film of noise that the mark is in."""
    folder = path.parent / SECRET.decode()
    folder.mkdir(exist_ok=True)
    audio = write_noise(folder / "voice.wav", frames / 25)
    origin = Origin(statement=statement(("the driving audio", audio)), **choice)
    rng = np.random.default_rng(0)
    with FilmWriter(
        path, (64, 64), audio=audio, sound_filter=origin.sound_filter, finish=origin.signer(path), overwrite=True
    ) as film:
        for _ in range(frames):
            film.write(rng.integers(0, 255, (64, 64, 3), np.uint8))
    return path


def test_a_film_is_valid_and_trusted_with_its_own_anchor(tmp_path: Path):
    found = pcavs.verify(write_film(tmp_path / "film.mp4"))
    assert (found.credentials.state, found.exit_code) == ("trusted", 0)
    assert found.credentials.source_type == "trainedAlgorithmicMedia"
    assert found.credentials.software == f"pcavs {pcavs.__version__}"
    assert found.credentials.film["marks"] == ["audio 1"]
    voice = tmp_path / SECRET.decode() / "voice.wav"
    assert found.credentials.film["inputs"] == [{"role": "the driving audio", "sha256": file_digest(voice)}]
    assert found.sound is not None
    assert found.sound.found
    assert found.sentence.startswith("Unchanged since a signer that you trust signed it")
    assert not list(tmp_path.glob("*.part*"))


def test_one_flipped_bit_in_the_picture_breaks_the_credentials(tmp_path: Path):
    path = write_film(tmp_path / "film.mp4")
    data = bytearray(path.read_bytes())
    data[data.rfind(b"mdat") + 5000] ^= 1
    path.write_bytes(data)
    found = verify(path)
    assert (found.credentials.state, found.exit_code) == ("broken", 3)
    assert "assertion.bmffHash.mismatch" in found.credentials.problems


def test_a_copy_of_the_streams_has_no_credentials_but_the_mark(tmp_path: Path):
    path, copy = write_film(tmp_path / "film.mp4"), tmp_path / "copy.mp4"
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        streams = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                target.mux(packet)
    found = verify(copy)
    assert (found.credentials.state, found.exit_code) == ("absent", 3)
    assert "its sound carries the mark of pcavs" in found.sentence


def test_no_path_no_user_name_and_no_byte_of_an_input_is_in_the_film(tmp_path: Path, examples: Path):
    path, photo = tmp_path / "film.mp4", tmp_path / SECRET.decode() / "face.jpg"
    write_film(path)
    photo.write_bytes((examples / "face.jpg").read_bytes())
    sign(path, path, statement(("the picture of the person", photo)), Signing(keys.own_key()))
    data = path.read_bytes()
    for secret in (SECRET, str(tmp_path).encode(), b"face.jpg", b"voice.wav", str(Path.home()).encode()):
        assert secret not in data
    picture = photo.read_bytes()
    assert b"\xff\xd8\xff" not in data
    assert not any(picture[at : at + 24] in data for at in range(0, len(picture) - 24, 24))


@pytest.mark.parametrize("with_thumbnail", [False, True])
def test_own_credentials_of_an_input_are_kept_unless_they_show_a_picture(
    tmp_path: Path, examples: Path, with_thumbnail: bool
):
    photo, signed, film = examples / "face.jpg", tmp_path / "signed.jpg", write_film(tmp_path / "film.mp4")
    key = keys.own_key()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", key.chain, key.key, None))
    camera = {"claim_generator_info": [{"name": "A camera"}], "assertions": []}
    settings = c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": with_thumbnail}}})
    with c2pa.Context(settings=settings, signer=signer) as context, photo.open("rb") as source:
        builder = c2pa.Builder(camera, context=context)
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CAPTURE)
        with signed.open("w+b") as target:
            builder.sign("image/jpeg", source, target)
    sign(film, film, statement(("the picture of the person", signed)), Signing(key))
    assert verify(film).credentials.state == "trusted"
    assert (b"A camera" in film.read_bytes()) is not with_thumbnail
    assert b"\xff\xd8\xff" not in film.read_bytes()


def test_a_dub_opens_its_video_and_edits_it(tmp_path: Path):
    video, film = write_film(tmp_path / "video.mp4"), write_film(tmp_path / "film.mp4")
    said = statement(("the picture of the person", video), parent=video)
    sign(film, film, said, Signing(keys.own_key()))
    found = verify(film)
    assert found.credentials.state == "trusted"
    assert found.credentials.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert "parts of it are synthetic" in found.sentence


def test_frames_and_sound_of_two_runs_are_equal(tmp_path: Path):
    """Only the manifest differs: signature, time of signing and its random identifiers."""
    one, other = write_film(tmp_path / "one.mp4", 30), write_film(tmp_path / "other.mp4", 30)
    assert one.read_bytes() != other.read_bytes()
    for first, second in zip(read_frames(one), read_frames(other), strict=True):
        assert (first == second).all()
    first, second = (packets_of(path) for path in (one, other))
    assert first == second


def packets_of(path: Path) -> list[bytes]:
    """The packets of a film."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_keys_are_for_the_user_alone(data_folder: Path):
    keys.own_key()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_folder.rglob("*")}
    assert modes.pop("keys") == 0o700
    assert set(modes) == {"root.pem", "root-key.pem", "signer.pem", "signer-key.pem"}
    assert set(modes.values()) == {0o600}


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_key_that_others_can_read_is_refused(data_folder: Path):
    keys.own_key()
    (data_folder / "keys" / "signer-key.pem").chmod(0o644)
    with pytest.raises(InputError, match=r"others can read .*signer-key\.pem \(mode 0644\); run chmod 600"):
        keys.own_key()


def test_new_keys_leave_old_films_trusted(tmp_path: Path):
    film = write_film(tmp_path / "film.mp4", 10)
    before = keys.describe()
    keys.new_keys()
    assert keys.describe()["root_sha256"] != before["root_sha256"]
    assert verify(film).credentials.state == "trusted"


def test_a_film_of_others_is_valid_and_trusted_with_their_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film, root = write_film(tmp_path / "film.mp4", 10), tmp_path / "root.pem"
    keys.export_root(root)
    with pytest.raises(OutputError, match="cannot be written"):
        keys.export_root(root)
    monkeypatch.setenv("PCAVS_DATA", str(tmp_path / "elsewhere"))
    assert verify(film).credentials.state == "valid"
    assert "a signer that is not known here" in verify(film).sentence
    assert verify(film, anchor=root).credentials.state == "trusted"
    with pytest.raises(InputError, match="is not a certificate in PEM"):
        verify(film, anchor=film)
    with pytest.raises(InputError, match="there are no keys yet"):
        keys.export_root(tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("days", "message"),
    [(4000, "expired on 20.*; make new keys by pcavs keys new"), (-30, "is valid only from .*; set the clock")],
)
def test_an_expired_certificate_and_a_wrong_clock_are_refused(days: int, message: str, monkeypatch: pytest.MonkeyPatch):
    keys.own_key()
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    monkeypatch.setattr(keys, "_now", lambda: now)
    with pytest.raises(InputError, match=message):
        keys.own_key()


def test_where_no_key_can_be_kept_the_film_is_signed_with_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PCAVS_DATA", str(tmp_path / "file" / "data"))
    film = write_film(tmp_path / "film.mp4", 10)
    assert "signed with a key for this film alone, as no key can be kept (Not a directory)" in caplog.text
    assert verify(film).credentials.state == "valid"
    with pytest.raises(OutputError, match="cannot be written"):
        keys.new_keys()


def test_a_user_without_home_gets_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PCAVS_DATA")
    monkeypatch.setattr(Path, "home", no_home)
    assert keys.own_key().note is not None
    assert verify(write_film(tmp_path / "film.mp4", 10)).credentials.state == "valid"


def test_a_given_certificate_signs(tmp_path: Path, data_folder: Path):
    keys.own_key()
    pair = data_folder / "keys" / "signer.pem", data_folder / "keys" / "signer-key.pem"
    film = write_film(tmp_path / "film.mp4", 10, sign_with=pair)
    assert verify(film).credentials.state == "trusted"
    other = pair[0], data_folder / "keys" / "root-key.pem"
    with pytest.raises(InputError, match=r"root-key\.pem is not the key of .*signer\.pem"):
        write_film(tmp_path / "film.mp4", 10, sign_with=other)
    text = tmp_path / "text.pem"
    text.write_text("text")
    text.chmod(0o600)
    for wrong, message in (
        ((text, pair[1]), "is not a certificate in PEM"),
        ((pair[0], text), "is not a private key in PEM"),
        ((tmp_path / "none", pair[1]), "cannot be opened"),
    ):
        with pytest.raises(InputError, match=message):
            write_film(tmp_path / "film.mp4", 10, sign_with=wrong)


def test_an_unreachable_time_stamp_authority_leaves_no_film(tmp_path: Path):
    with pytest.raises(OutputError, match="time stamp authority http://127.0.0.1:9"):
        write_film(tmp_path / "film.mp4", 10, tsa="http://127.0.0.1:9")
    assert not list(tmp_path.glob("film*"))


def test_a_full_disk_leaves_no_unsigned_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(c2pa.Builder, "sign", full)
    with pytest.raises(OutputError, match=r"film\.mp4 cannot be written \(No space left on device\); free some space"):
        write_film(tmp_path / "film.mp4", 10)
    assert not list(tmp_path.glob("film*"))


def test_a_format_without_credentials_is_marked_only(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    found = verify(write_film(tmp_path / "film.webm"))
    assert "a .webm film cannot carry signed credentials" in caplog.text
    assert (found.credentials.state, found.exit_code) == ("absent", 3)
    assert found.sound is not None
    assert found.sound.found


def test_without_c2pa_a_film_is_marked_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    found = verify(write_film(tmp_path / "film.mp4"))
    assert "c2pa-python is not installed" in caplog.text
    assert found.exit_code == 3


def test_nothing_is_found_in_files_of_others(tmp_path: Path, examples: Path):
    found = verify(examples / "speech.wav")
    assert (found.credentials.state, found.exit_code, found.tag) == ("absent", 4, None)
    assert verify(examples / "pose.mp4").exit_code == 4
    silent = write_wav(tmp_path / "short.wav", np.zeros(100))
    assert verify(silent).exit_code == 4


def test_damaged_files_are_refused_in_one_line_or_checked(tmp_path: Path):
    film = write_film(tmp_path / "film.mp4").read_bytes()
    chance, path = random.Random(0), tmp_path / "damaged.mp4"
    for number in range(20):
        data = bytearray(film[: chance.randrange(len(film))] if number % 2 else film)
        for _ in range(chance.randrange(1, 200)):
            data[chance.randrange(max(1, len(data)))] = chance.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(InputError):
            found = verify(path)
            assert found.exit_code in (3, 4)
            assert found.credentials.state in ("broken", "absent")
    for text in (b"", b"text", b"\0" * 100, b"RIFF\0\0\0\0WAVE"):
        path.write_bytes(text)
        with pytest.raises(InputError):
            verify(path)


def test_a_consent_record_is_checked(tmp_path: Path):
    path = tmp_path / "consent.json"
    path.write_text('{"who": "A", "what": "a greeting", "until": "2999-01-31"}')
    assert read_consent(path) == {"sha256": file_digest(path), "until": "2999-01-31"}
    path.write_text("I agree to be animated for the greeting of May.")
    assert read_consent(path) == {"sha256": file_digest(path)}
    for text, message in (
        ('{"until": "2020-01-01"}', "the consent ended on 2020-01-01"),
        ('{"until": "soon"}', "until is 'soon'; give a date"),
        (" ", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_consent(path)
