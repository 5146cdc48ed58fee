"""The user's signing keys: made at first use, kept in the user's data folder, never sent anywhere.

A root certificate signs a signer's certificate, which signs films. Whoever has the root (`pcavs keys export`) can check
that a film is from the same installation. Names in the certificates tell nothing about the user.
"""

import contextlib
import datetime
import os
import secrets
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pcavs.errors import InputError, OutputError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_FOLDER_VARIABLE: Final = "PCAVS_DATA"
"""Environment variable that names the data folder."""
_VALID_DAYS: Final = 3650
"""Validity of own certificates: ten years. Nothing renews them automatically; `pcavs keys new` does."""
_CLOCK_SKEW: Final = datetime.timedelta(days=1)
"""Certificates are valid from a day before they are made, as clocks differ."""
_ROOT, _ROOT_KEY, _CHAIN, _KEY = "root.pem", "root-key.pem", "signer.pem", "signer-key.pem"


class SigningKey(NamedTuple):
    """What a film is signed with."""

    chain: bytes
    """Certificates in PEM: the signer's first, its issuers after it."""
    key: bytes
    """Private key in PEM."""
    algorithm: str
    """C2PA's name of the signature algorithm, such as es256."""
    note: str | None = None
    """A message for the user, one line."""


def data_folder() -> Path:
    """Returns the folder of the user's keys: `$PCAVS_DATA`, or the usual place of the system.

    Raises:
        InputError: The user has no home folder.
    """
    if os.environ.get(_FOLDER_VARIABLE):
        return Path(os.environ[_FOLDER_VARIABLE])
    try:
        home = Path.home()
    except RuntimeError as error:
        raise InputError(f"there is no home folder for keys; set {_FOLDER_VARIABLE} to a folder") from error
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "pcavs"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "pcavs"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "pcavs"


def own_key() -> SigningKey:
    """Returns the user's own key; makes it at first use.

    Where no key can be kept, such as in a read-only home, it returns a key for one use, with a note.

    Raises:
        InputError: The key is damaged, expired, not valid yet, or readable by others.
    """
    try:
        folder = data_folder() / "keys"
        if not folder.exists():
            _write_new(folder)
    except (InputError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        chain, key = _new_keys()[2:]
        note = f"the film is signed with a key for this film alone, as no key can be kept ({reason})"
        return SigningKey(chain, key, "es256", note)
    return read_key(folder / _CHAIN, folder / _KEY, renew="make new keys by pcavs keys new")


def new_keys() -> Path:
    """Makes new keys; earlier keys are moved aside, and their roots stay trusted by `pcavs verify`.

    Returns:
        The folder of the keys.

    Raises:
        InputError: There is no home folder.
        OutputError: The folder cannot be written.
    """
    folder = data_folder() / "keys"
    try:
        if folder.exists():
            folder.replace(folder.with_name(f"keys-until-{_now():%Y%m%d}-{secrets.token_hex(2)}"))
        _write_new(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); set {_FOLDER_VARIABLE}") from error
    return folder


def anchors() -> bytes:
    """Returns the roots of all keys that were made here, in PEM; empty if there are none."""
    with contextlib.suppress(InputError, OSError):
        return b"".join(root.read_bytes() for root in sorted(data_folder().glob(f"keys*/{_ROOT}")))
    return b""


def export_root(path: Path) -> None:
    """Copies the root certificate, for others to check films with; it holds nothing secret.

    Raises:
        InputError: There is no key yet.
        OutputError: The file exists, or cannot be written.
    """
    root = data_folder() / "keys" / _ROOT
    if not root.exists():
        raise InputError("there are no keys yet; the first film or pcavs keys new makes them")
    try:
        with path.open("xb") as file:
            file.write(root.read_bytes())
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another name") from error


def read_key(chain_path: Path, key_path: Path, *, renew: str = "give another") -> SigningKey:
    """Reads and checks a certificate chain and its private key.

    Args:
        chain_path: Certificates in PEM, the signer's first.
        key_path: Private key in PEM, without a password.
        renew: What to do about a certificate that is not valid now.

    Raises:
        InputError: A file cannot be read or used, others can read the key, or the certificate is not valid now.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    chain, key = _read(chain_path), _read(key_path)
    mode = stat.S_IMODE(key_path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise InputError(f"others can read {key_path} (mode {mode:04o}); run chmod 600 {key_path}")
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
    except (ValueError, IndexError) as error:
        raise InputError(f"{chain_path} is not a certificate in PEM; {renew}") from error
    try:
        private: Any = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{key_path} is not a private key in PEM without password; {renew}") from error
    if private.public_key() != certificate.public_key():
        raise InputError(f"{key_path} is not the key of {chain_path}; give both of one pair")
    _check_dates(certificate, chain_path, renew)
    return SigningKey(chain, key, _algorithm(private, key_path))


def describe() -> dict[str, Any]:
    """Describes the user's own key: its folder, the fingerprint of its root, and until when it is valid.

    Raises:
        InputError: There is no key yet, or it is damaged.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    folder = data_folder() / "keys"
    if not folder.exists():
        raise InputError("there are no keys yet; the first film or pcavs keys new makes them")
    try:
        root = x509.load_pem_x509_certificate(_read(folder / _ROOT))
        leaf = x509.load_pem_x509_certificates(_read(folder / _CHAIN))[0]
    except (ValueError, IndexError) as error:
        raise InputError(f"{folder} holds no usable certificates; make new keys by pcavs keys new") from error
    return {
        "folder": str(folder),
        "root_sha256": root.fingerprint(SHA256()).hex(),
        "signer_sha256": leaf.fingerprint(SHA256()).hex(),
        "valid_until": leaf.not_valid_after_utc.date().isoformat(),
    }


def _check_dates(certificate: "x509.Certificate", path: Path, renew: str) -> None:
    if certificate.not_valid_after_utc < _now():
        raise InputError(f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; {renew}")
    if certificate.not_valid_before_utc > _now():
        start = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        raise InputError(f"{path} is valid only from {start} on, and the clock says {_now():%Y-%m-%d}; set the clock")


def _algorithm(private: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(private, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, RSAPrivateKey):
        return "ps256"
    known = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, EllipticCurvePrivateKey) and private.curve.name in known:
        return known[private.curve.name]
    raise InputError(f"{path} is of a kind that C2PA does not use; give an EC (P-256 to P-521), Ed25519 or RSA key")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _write_new(folder: Path) -> None:
    """Writes new keys to a folder that only the user can read; of two processes, the first one's keys stay."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}.part")
    part.mkdir(mode=0o700)
    try:
        for name, data in zip((_ROOT, _ROOT_KEY, _CHAIN, _KEY), _new_keys(), strict=True):
            handle = os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
        part.rename(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not folder.exists():
            raise


def _new_keys() -> tuple[bytes, bytes, bytes, bytes]:
    """Returns a new root, its key, a signer's chain that ends in the root, and the signer's key; all in PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    mark = secrets.token_hex(4)
    root_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"pcavs root {mark}", root_key, f"pcavs root {mark}", root_key, is_root=True)
    signer = _certificate(f"pcavs signer {mark}", signer_key, f"pcavs root {mark}", root_key, is_root=False)
    pem, root_pem = (each.public_bytes(Encoding.PEM) for each in (signer, root))
    keys = [each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for each in (root_key, signer_key)]
    return root_pem, keys[0], pem + root_pem, keys[1]


def _certificate(
    subject: str,
    key: "EllipticCurvePrivateKey",
    issuer: str,
    issuer_key: "EllipticCurvePrivateKey",
    *,
    is_root: bool,
) -> "x509.Certificate":
    """Makes a certificate by C2PA's profile: a signer's is for e-mail protection and digital signatures."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "pcavs user")
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), organisation])

    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **unused)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _CLOCK_SKEW)
        .not_valid_after(_now() + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.BasicConstraints(is_root, 0 if is_root else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(usage, critical=True)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, SHA256())
