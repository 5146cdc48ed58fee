#!/usr/bin/env bash
# The table of docs/train.md: every recipe of recipes/ablations, three seeds each, equal frames shown.
#
#     runs/ablations.sh PACKS OUT [RECIPES]
#
# PACKS holds faces of 64 px (pcavs pack --frame-px 64). A run that is there already is gone on with. RECIPES is another
# folder of recipes to set against one another, recipes/joined say.
set -euo pipefail
packs=${1:?"the folder of packs"} out=${2:?"the folder for the runs"}
here=$(cd "$(dirname "$0")/.." && pwd)
for recipe in "${3:-$here/recipes/ablations}"/*.toml; do
  for seed in ${SEEDS:-0 1 2}; do
    name=$(basename "$recipe" .toml)
    pcavs train "$recipe" --packs "$packs" --seed "$seed" --run "$out/$name/$seed" ${EXTRA:-}
  done
done
python "$here/benchmarks/ablation_table.py" "$out"
