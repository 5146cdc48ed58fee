"""Reads the Dockerfile and compose.yaml."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Step(NamedTuple):
    """An instruction of the Dockerfile."""

    word: str
    """Such as RUN."""
    text: str

    def commands(self) -> list[list[str]]:
        """Returns the words of each command of RUN, of which `a && b` has two, or of CMD."""
        if self.text.startswith("["):
            return [json.loads(self.text)]
        return [shlex.split(each) for each in self.text.split("&&")]


def dockerfile(name: str = "Dockerfile") -> list[Step]:
    """Returns the instructions of a Dockerfile."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def compose() -> dict[str, Any]:
    """Returns what compose.yaml says."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())
