"""Prepares a release; only a person publishes it. Uploads nothing.

python -m venv .venv-release && .venv-release/bin/pip install build twine
.venv-release/bin/python scripts/release.py

It checks that all files name one version, that CHANGELOG.md has a section for it, that the tag vVERSION is the commit
that is checked out and nothing else has changed; builds source archive and wheel, the wheel from the archive; compares
their contents with the repository; lets twine check the metadata; writes the release notes; and prints the command that
would publish. `--dry-run` leaves out the tag and the section, to try the rest before there are any.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_WHEEL_MB = 55
"""Largest wheel; the public index takes files of up to 100 MB."""
VERSIONS = {
    "pyproject.toml": r'^version = "([^"]+)"',
    "src/pcavs/__init__.py": r'^__version__ = "([^"]+)"',
    "CITATION.cff": r"^version: (\S+)",
    "integrations/comfyui/pyproject.toml": r'^version = "([^"]+)"',
}
"""Files that name the version, and how."""


def one_version(root: Path) -> str:
    """Returns the version that all files name; ends if they differ."""
    found = {name: _first(pattern, (root / name).read_text(encoding="utf-8")) for name, pattern in VERSIONS.items()}
    if len(set(found.values())) != 1:
        raise SystemExit(f"versions differ: {', '.join(f'{name} has {each}' for name, each in found.items())}")
    return next(iter(found.values()))


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return "none" if match is None else match.group(1)


def notes(changelog: str, version: str) -> str:
    """Returns the section of a version in the changelog; ends if there is none, or an empty one."""
    match = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    text = "" if match is None else match.group(1).strip()
    if not text:
        raise SystemExit(f"CHANGELOG.md has no section ## [{version}]; rename [Unreleased] and add the date")
    return text + "\n"


def package_files(root: Path) -> dict[str, str]:
    """Returns the SHA-256 of every tracked file of the package, by its name in the wheel."""
    listed = _git(root, "ls-files", "-z", "src/pcavs").split("\0")
    return {name.removeprefix("src/"): _digest((root / name).read_bytes()) for name in listed if name}


def wheel_files(wheel: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of the package in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: _digest(archive.read(name)) for name in archive.namelist() if name.startswith("pcavs/")}


def archive_files(archive: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file of the package in a source archive."""
    found: dict[str, str] = {}
    with tarfile.open(archive) as file:
        for member in file.getmembers():
            name = member.name.partition("/src/")[2]
            data = file.extractfile(member) if member.isfile() and name.startswith("pcavs/") else None
            if data is not None:
                found[name] = _digest(data.read())
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check_equal(expected: dict[str, str], found: dict[str, str], where: str) -> None:
    """Ends if a built file holds other files of the package than the repository."""
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise SystemExit(f"{where} and the repository differ in {len(wrong)} files: {', '.join(wrong[:5])}")


def check_checkout(root: Path, version: str) -> None:
    """Ends unless the tag of the version is checked out, without changes."""
    if _git(root, "status", "--porcelain"):
        raise SystemExit("there are changes that are not committed; commit them")
    if f"v{version}" not in _git(root, "tag", "--points-at", "HEAD").split():
        raise SystemExit(f"the tag v{version} is not the commit that is checked out; git tag --sign v{version}")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout


def build(root: Path, out: Path, run: Callable[..., object] = subprocess.run) -> tuple[Path, Path]:
    """Builds the source archive, and the wheel from it; twine checks both. Returns their paths."""
    for old in out.glob("pcavs-*"):
        old.unlink()
    run([sys.executable, "-m", "build", "--outdir", str(out), str(root)], check=True)
    archive, wheel = next(out.glob("pcavs-*.tar.gz")), next(out.glob("pcavs-*.whl"))
    run([sys.executable, "-m", "twine", "check", "--strict", str(archive), str(wheel)], check=True)
    return archive, wheel


def main() -> None:
    """Checks, builds, and prints what to do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="leave out the tag and the section of the changelog")
    is_dry = parser.parse_args().dry_run
    version, out = one_version(ROOT), ROOT / "dist"
    out.mkdir(exist_ok=True)
    if not is_dry:
        check_checkout(ROOT, version)
        text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        (out / f"notes-{version}.md").write_text(text, encoding="utf-8")
    archive, wheel = build(ROOT, out)
    expected = package_files(ROOT)
    check_equal(expected, archive_files(archive), archive.name)
    check_equal(expected, wheel_files(wheel), wheel.name)
    size_mb = wheel.stat().st_size / 1e6
    if size_mb > MAX_WHEEL_MB:
        raise SystemExit(f"{wheel.name} has {size_mb:.1f} MB; at most {MAX_WHEEL_MB}")
    archive_mb = archive.stat().st_size / 1e6
    print(f"pcavs {version}: {len(expected)} files; wheel {size_mb:.1f} MB, archive {archive_mb:.1f} MB")
    print(f"try it:     python scripts/smoke.py {wheel.relative_to(ROOT)}")
    if not is_dry:
        print(f"publish it: {sys.executable} -m twine upload {archive.relative_to(ROOT)} {wheel.relative_to(ROOT)}")
        print(f"then:       git push origin v{version}; its notes are in dist/notes-{version}.md")


if __name__ == "__main__":
    main()
