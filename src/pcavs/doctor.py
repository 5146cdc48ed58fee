"""`pcavs doctor`: reports what is installed and finds problems that keep `pcavs animate` from working."""

import dataclasses
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any, Final

import pcavs
from pcavs.errors import InputError, WeightsError

REQUIRED: Final = (
    "numpy",
    "av",
    "opencv-python-headless",
    "openvino",
    "pillow",
    "pi-heif",
    "safetensors",
    "cryptography",
)
"""Distributions that animating needs."""
OPTIONAL: Final = ("c2pa-python", "torch", "lightning-fabric", "moderngl", "ray")
"""Distributions that extras install, or that are not available for every system."""
ENCODERS: Final = ("libx264", "aac")
"""FFmpeg encoders that writing a film needs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Checks the installation: package versions, processor and GPU, encoders, weights."""

    json: bool = False
    """Print one JSON object instead of lines."""


def run(options: DoctorOptions) -> dict[str, Any]:
    """Collects the report; takes seconds if torch is installed.

    Returns:
        The report as JSON values. `problems` holds one line for each problem; it is empty if `pcavs animate` can run.
    """
    problems: list[str] = []
    report = {
        "pcavs": pcavs.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in REQUIRED + OPTIONAL},
        "openvino": _openvino(),
        "torch": _torch(),
        "encoders": _encoders(problems),
        "signing": _signing(),
        "weights": _weights(problems),
    }
    return report | {"problems": problems}


def lines(report: dict[str, Any]) -> list[str]:
    """Formats the report of `run` as lines of a label and a text."""
    packages = {name: version or "not installed" for name, version in report["packages"].items()}
    openvino, torch = report["openvino"], report["torch"]
    yes_no = {True: "yes", False: "no"}
    rows = [
        ("pcavs", f"{report['pcavs']}, Python {report['python']}, {report['system']}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("openvino", f"{', '.join(openvino['devices'])}: {openvino['processor']}, {openvino['threads']} threads"),
        ("bf16", yes_no[openvino["bf16"]]),
        ("torch", f"cpu{''.join(f', {name}' for name in torch['cuda'])}" if torch else "not installed"),
        ("encoders", ", ".join(name for name, found in report["encoders"].items() if found)),
        ("signing", _signing_line(report["signing"])),
        *(("weights", _weights_line(facts)) for facts in report["weights"]),
        *(("PROBLEM", problem) for problem in report["problems"]),
    ]
    return [f"{name:9} {text}" for name, text in rows]


def _weights_line(facts: dict[str, Any]) -> str:
    kind = facts["spec"]["kind"]
    sizes = facts["spec"][kind]
    film_px = sizes.get("picture_px", sizes["frame_px"])
    forms = " and ".join(form for form in ("networks", "bundle") if form in facts)
    provenance = ", ".join(f"{name} {value}" for name, value in facts["provenance"].items())
    return (
        f"{facts['name']} ({kind}, faces {sizes['frame_px']} px, film {film_px} px; {forms}; "
        f"sha256 {facts['digest'][:12]}; {provenance})"
    )


def _version(name: str) -> str | None:
    """Returns the version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _openvino() -> dict[str, Any]:
    from pcavs.vino import ov

    core = ov.Core()
    return {
        "devices": list(core.available_devices),
        "processor": str(core.get_property("CPU", "FULL_DEVICE_NAME")).strip(),
        "bf16": "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "threads": os.cpu_count(),
    }


def _torch() -> dict[str, Any] | None:
    if _version("torch") is None:
        return None
    import torch

    return {"cuda": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]}


def _encoders(problems: list[str]) -> dict[str, bool]:
    """Tells which encoders PyAV has; appends missing ones to the problems."""
    from av.codec import codecs_available

    found = {name: name in codecs_available for name in ENCODERS}
    problems += [
        f"PyAV has no {name} encoder; install av from its wheel" for name, exists in found.items() if not exists
    ]
    return found


def _signing() -> dict[str, str | None]:
    """Tells where the user's keys are, or would be, and why films cannot be signed; makes no keys."""
    from pcavs.provenance.credentials import can_sign
    from pcavs.provenance.keys import data_folder

    try:
        keys = data_folder() / "keys"
    except InputError:
        return {"unavailable": can_sign(Path("film.mp4")), "keys": None}
    return {"unavailable": can_sign(Path("film.mp4")), "keys": str(keys) if keys.exists() else None}


def _signing_line(facts: dict[str, str | None]) -> str:
    if facts["unavailable"]:
        return f"not available: {facts['unavailable']}"
    return f"available; keys in {facts['keys']}" if facts["keys"] else "available; the first film makes keys"


def _weights(problems: list[str]) -> list[dict[str, Any]]:
    """Describes the default weights; if they cannot be found, appends the reason to the problems."""
    from pcavs.weights.locate import find_weights
    from pcavs.weights.show import describe

    try:
        return [describe(find_weights())]
    except WeightsError as error:
        problems.append(str(error))
        return []
