"""Installs a wheel into a clean virtual environment, as a user would, and makes a film with it.

python scripts/smoke.py dist/pcavs-0.1.0-py3-none-any.whl [PYTHON]... runs it for each interpreter, and prints sizes and
times. It needs a package index.
"""

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MB = 1e6


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command outside of the checkout; returns what it prints, and ends with its message if it fails."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def size_mb(folder: Path) -> float:
    """Returns the size of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def try_wheel(wheel: Path, python: str | None, folder: Path) -> None:
    """Installs the wheel and makes half a second of film from the examples."""
    if python is None:
        venv.create(folder / "venv", with_pip=True)
    else:
        run(python, "-m", "venv", folder / "venv", cwd=folder)
    tools = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    packages = Path(
        run(tools / "python", "-c", "import sysconfig as s; print(s.get_path('purelib'))", cwd=folder).strip()
    )
    empty = size_mb(packages)
    run(tools / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    run(tools / "python", "-m", "pip", "check", cwd=folder)
    version = run(tools / "python", "--version", cwd=folder).strip()
    run(tools / "pcavs", "doctor", cwd=folder)
    started, examples, film = time.monotonic(), ROOT / "examples", folder / "talk.mp4"
    inputs = ("--identity", examples / "face.jpg", "--audio", examples / "speech.wav", "--pose", "lively")
    run(tools / "pcavs", "animate", *inputs, "--end", "0.5", "--out", film, cwd=folder)
    took_s = time.monotonic() - started
    parts = f"{size_mb(packages) - empty:.0f} MB installed, of which pcavs {size_mb(packages / 'pcavs'):.0f} MB"
    print(f"{version}: wheel {wheel.stat().st_size / MB:.1f} MB, {parts}; a film in {took_s:.1f} s")
    print(run(tools / "pcavs", "verify", film, cwd=folder).strip())


def main(wheel: str, *pythons: str) -> None:
    """Tries the wheel with each interpreter; without any, with the one that runs this script."""
    for python in pythons or (None,):
        with tempfile.TemporaryDirectory() as folder:
            try_wheel(Path(wheel).resolve(), python, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
