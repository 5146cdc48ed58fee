"""Signed credentials (C2PA) of a film: who made it, with what, from which inputs; they break if the film is changed.

Nothing of an input is stored but its digest, and the credentials that it carries itself unless they show a picture.
Digests of inputs are not reversible, but who has a file can tell that it was used.

Reference: C2PA Technical Specification 2.2, sections 9 (actions) and 10 (ingredients).
"""

import dataclasses
import hashlib
import importlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcavs.errors import InputError, OutputError
from pcavs.media.files import output_error
from pcavs.provenance.keys import SigningKey

logger = logging.getLogger(__name__)

FILM_ASSERTION: Final = "org.pcavs.film"
"""Label of the assertion that holds weights, marks and digests of inputs."""
_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_FORMATS: Final = {".mp4": "video/mp4", ".mov": "video/quicktime", ".gif": "image/gif", ".webp": "image/webp"}
"""C2PA's names of the film formats that can carry credentials."""
_PARENT: Final = "parent"
"""Identifier by which the action of a dub names the video that was opened."""
_CHUNK_BYTES: Final = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """What the credentials of a film say."""

    title: str
    version: str
    """Version of this software."""
    weights: str
    """Name of the weights."""
    weights_digest: str
    """SHA-256 of the weights."""
    marks: tuple[str, ...]
    """Marks that are in the film; all others are stated to be off."""
    inputs: tuple[tuple[str, Path], ...]
    """Files that the film is made from, each with what it is."""
    parent: Path | None = None
    """The video that is dubbed; None for a film of a photograph."""
    extra: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """More facts, such as the digest of a consent record."""


class Signing(NamedTuple):
    """With what films are signed."""

    key: SigningKey
    tsa_url: str | None = None
    """Address of a time stamp authority; None asks no one."""


def can_sign(path: Path) -> str | None:
    """Returns why a film cannot carry credentials, None if it can."""
    if path.suffix.lower() not in _FORMATS:
        return f"a {path.suffix} film cannot carry signed credentials; .mp4 and .mov can"
    try:
        importlib.import_module("c2pa")
    except (ImportError, OSError):
        return "the film is not signed: c2pa-python is not installed, or not available for this system"
    return None


def sign(part: Path, path: Path, statement: Statement, signing: Signing) -> None:
    """Replaces a finished film by the same film with credentials.

    Args:
        part: The film, under its temporary name.
        path: Its final name, which tells its format.
        statement: What the credentials say.
        signing: Key and time stamp authority.

    Raises:
        OutputError: It cannot be signed, or the disk is full. The film is then left as it was.
        InputError: An input cannot be read any more.
    """
    import c2pa

    signed = part.with_name(f"{part.name}.signed")
    key = signing.key
    tsa = None if signing.tsa_url is None else signing.tsa_url.encode()
    try:
        info = c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain, key.key, tsa)
        settings = c2pa.Settings.from_dict(_SETTINGS)
        with c2pa.Context(settings=settings, signer=c2pa.Signer.from_info(info)) as context:
            builder = c2pa.Builder(_manifest(statement, path), context=context)
            for each in _carried(statement):
                with each.path.open("rb") as file:
                    builder.add_ingredient(each.description, each.format, file)
            with part.open("rb") as source, signed.open("w+b") as target:
                builder.sign(_FORMATS[path.suffix.lower()], source, target)
        signed.replace(part)
    except OSError as error:
        raise output_error(path, error) from error
    except c2pa.C2paError as error:
        where = f" with the time stamp authority {signing.tsa_url}" if tsa else ""
        raise OutputError(f"{path} cannot be signed{where} ({error}); check key, certificate and disk space") from error
    finally:
        signed.unlink(missing_ok=True)


_SETTINGS: Final = {
    # A thumbnail would put the person's photograph into the file; fetching would ask the network.
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}


class _Carried(NamedTuple):
    """An input that goes into the builder as a file: one with credentials of its own."""

    description: dict[str, Any]
    format: str
    path: Path


def _manifest(statement: Statement, path: Path) -> dict[str, Any]:
    software = {"name": "pcavs", "version": statement.version}
    carried = {each.path for each in _carried(statement)}
    made = {"softwareAgent": software}
    if statement.parent is None:
        source = f"{_SOURCE_TYPE}trainedAlgorithmicMedia"
        actions: list[dict[str, Any]] = [{"action": "c2pa.created", "digitalSourceType": source, **made}]
    else:
        source = f"{_SOURCE_TYPE}compositeWithTrainedAlgorithmicMedia"
        actions = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}, **made},
            {"action": "c2pa.edited", "digitalSourceType": source, **made},
        ]
    film = {
        "weights": {"name": statement.weights, "sha256": statement.weights_digest},
        "marks": list(statement.marks),
        "inputs": [{"role": role, "sha256": file_digest(each)} for role, each in statement.inputs],
        **statement.extra,
    }
    return {
        "claim_generator_info": [software],
        "title": statement.title,
        "format": _FORMATS[path.suffix.lower()],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": FILM_ASSERTION, "data": film},
        ],
        "ingredients": [_ingredient(statement, role, each) for role, each in statement.inputs if each not in carried],
    }


def _ingredient(statement: Statement, role: str, path: Path) -> dict[str, Any]:
    digest = f"sha256:{file_digest(path)}"
    if path == statement.parent:
        return {"title": role, "relationship": "parentOf", "instance_id": digest, "label": _PARENT}
    return {"title": role, "relationship": "inputTo", "instance_id": digest}


def _carried(statement: Statement) -> Iterator[_Carried]:
    """Lists the inputs that are given to the builder as files, so that their credentials are kept."""
    for role, path in statement.inputs:
        form = media_type(path)
        if form is not None and _can_carry(path, form):
            yield _Carried(_ingredient(statement, role, path), form, path)


def _can_carry(path: Path, form: str) -> bool:
    """Tells whether a file carries credentials that show no picture, which would put a person into the film."""
    import c2pa

    try:
        with path.open("rb") as file, c2pa.Context(settings=c2pa.Settings.from_dict(_SETTINGS)) as context:
            reader = c2pa.Reader.try_create(form, file, context=context)
            return reader is not None and "thumbnail" not in reader.json()
    except (c2pa.C2paError, OSError):
        return False


def media_type(path: Path) -> str | None:
    """Returns the media type by a file's first bytes; None for formats that carry no credentials.

    Raises:
        InputError: The file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        known = {b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"heic": "image/heic", b"avif": "image/avif"}
        return known.get(brand, "video/mp4")
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"AVI ": "video/avi", b"WEBP": "image/webp"}.get(head[8:12])
    starts = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"ID3": "audio/mpeg"}
    return next((form for start, form in starts.items() if head.startswith(start)), None)


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits.

    Raises:
        InputError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); leave inputs in place until the end") from error
    return digest.hexdigest()


class Credentials(NamedTuple):
    """Credentials that a file carries."""

    state: str
    """`trusted`: intact, and signed by a known anchor; `valid`: intact, by an unknown signer; `broken`: the file was
    changed, or the signature is wrong; `absent`: none."""
    signer: str | None = None
    """Name in the signer's certificate, which anybody can choose unless the state is `trusted`."""
    software: str | None = None
    """What made the file, as it says."""
    source_type: str | None = None
    """Last word of the IPTC digital source type, such as trainedAlgorithmicMedia."""
    problems: tuple[str, ...] = ()
    """C2PA's codes of what failed."""
    film: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """What this software stated: weights, marks, digests of inputs; empty for files of other software."""


def read_credentials(path: Path, anchors: bytes) -> Credentials:
    """Reads and checks the credentials of a file; asks no network.

    Args:
        path: A file of any kind.
        anchors: Root certificates in PEM that are trusted; may be empty.

    Raises:
        InputError: The file cannot be opened.
        ImportError: c2pa-python is not installed.
    """
    import c2pa

    form = media_type(path)
    if form is None:
        return Credentials("absent")
    settings: dict[str, Any] = {**_SETTINGS, "trust": {"user_anchors": anchors.decode()}} if anchors else _SETTINGS
    try:
        with path.open("rb") as file, c2pa.Context(settings=c2pa.Settings.from_dict(settings)) as context:
            reader = c2pa.Reader.try_create(form, file, context=context)
            if reader is None:
                return Credentials("absent")
            store, state = json.loads(reader.json()), reader.get_validation_state()
    except (c2pa.C2paError, OSError, ValueError) as error:
        # Files without credentials whose structure the library does not understand; others read them.
        return Credentials("absent", problems=(" ".join(str(error).split()),))
    return _summary(store, {"Trusted": "trusted", "Valid": "valid"}.get(str(state), "broken"))


def _summary(store: dict[str, Any], state: str) -> Credentials:
    """Reads what a manifest store says; files of other software may leave anything out."""
    manifest = _dict(_dict(store.get("manifests")).get(str(store.get("active_manifest"))))
    assertions = {str(each.get("label")): _dict(each.get("data")) for each in _dicts(manifest.get("assertions"))}
    actions = next((_dicts(data.get("actions")) for label, data in assertions.items() if "c2pa.actions" in label), [])
    types = [str(action["digitalSourceType"]).rpartition("/")[2] for action in actions if "digitalSourceType" in action]
    generator = next(iter(_dicts(manifest.get("claim_generator_info"))), {})
    return Credentials(
        state=state,
        signer=_dict(manifest.get("signature_info")).get("common_name"),
        software=" ".join(str(generator[name]) for name in ("name", "version") if name in generator) or None,
        source_type=types[-1] if types else None,
        problems=tuple(str(each.get("code")) for each in _dicts(store.get("validation_status"))),
        film=assertions.get(FILM_ASSERTION, {}),
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [_dict(each) for each in value] if isinstance(value, list) else []
