"""Trains on a bare machine, from the folder that tools/gpu_bundle.py made: `python train.py '{"stage": "sync", ...}'`.

The argument holds fields of TrainOptions as JSON; `packs` and `run` are beside this file unless it says otherwise.
"""

import json
import logging
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATHS = ("run", "start")


def main() -> None:
    """Turns JSON into options and runs."""
    sys.path.insert(0, str(HERE / "site"))
    from pcavs.train.options import TrainOptions
    from pcavs.train.run import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fields = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    fields = {"packs": [HERE / "packs"], "run": HERE / "run"} | fields
    fields |= {name: Path(fields[name]) for name in PATHS if fields.get(name)}
    fields["packs"] = tuple(Path(place) for place in fields["packs"])
    fields["source_weights"] = tuple((name, weight) for name, weight in fields.get("source_weights", ()))
    print(run(TrainOptions(**fields)))


if __name__ == "__main__":
    main()
