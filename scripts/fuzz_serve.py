"""Sends damaged files to a running service, and reports answers that are no answers to a user.

    python scripts/fuzz_serve.py --url http://127.0.0.1:8000 --count 1000

Each file is sent to /images, /audios or /videos in turn. It may be kept (201) or refused with one line (413, 422);
anything else is a finding. Afterwards the service must still answer. Prints JSON. Input N of a seed always has the same
bytes.
"""

import argparse
import json
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

import fuzz_seeds
from fuzz_changes import damaged

_PLACES: Final = ("/images", "/audios", "/videos")
_EXPECTED: Final = (201, 413, 422)


def send(url: str, data: bytes) -> tuple[int, dict[str, Any]]:
    """Sends a file; returns the status and the JSON of the answer."""
    request = urllib.request.Request(url, data, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def fuzz(url: str, count: int, seed: int) -> dict[str, Any]:
    """Sends damaged files and returns how often each status was answered, and the findings."""
    with tempfile.TemporaryDirectory() as folder:
        valid = [path.read_bytes() for path in fuzz_seeds.media_seeds(Path(folder))]
    answers: Counter[int] = Counter()
    findings: list[str] = []
    slowest_s = 0.0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        first, other = rng.integers(len(valid), size=2)
        data = damaged(valid[first], valid[other], "media", rng)
        began_s = time.monotonic()
        status, answer = send(url + _PLACES[number % len(_PLACES)], data)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        answers[status] += 1
        line = str(answer.get("detail", ""))
        if status not in _EXPECTED or "\n" in line or (status != 201 and not line):
            findings.append(f"{number}: {status} {line[:200]}")
    with urllib.request.urlopen(f"{url}/healthz", timeout=30) as answer:
        alive = answer.status == 200
    answered = {str(status): times for status, times in sorted(answers.items())}
    return {"answers": answered, "slowest_s": round(slowest_s, 2), "alive": alive, "findings": findings}


def main() -> None:
    """Parses the arguments and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(json.dumps(fuzz(args.url.rstrip("/"), args.count, args.seed), indent=1))


if __name__ == "__main__":
    main()
