"""Trains from the folder that gpu_bundle.py made: `python train.py '{"stage": "sync", ...}'`.

The argument is a JSON object with fields of `TrainOptions`. Its field `recipe` names a TOML file with more of them.
By default, `packs` and `run` are the folders of these names beside this file.
"""

import json
import logging
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Reads the options and trains."""
    sys.path.insert(0, str(HERE / "site"))
    from pcavs.train.recipe import options_from, read_recipe
    from pcavs.train.run import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    recipe = read_recipe(Path(given.pop("recipe"))) if "recipe" in given else {}
    fields = {"packs": [str(HERE / "packs")], "run": str(HERE / "run")} | recipe | given
    print(run(options_from(fields)))


if __name__ == "__main__":
    main()
