#!/usr/bin/env bash
# Trains every recipe of a folder with three seeds each, and prints the table of their scores.
#
#     runs/ablations.sh PACKS OUT [RECIPES]
#
# PACKS: packs of faces of 64 px (pcavs pack --frame-px 64). OUT: folder of the runs, OUT/RECIPE/SEED; runs that exist
# are continued. RECIPES: folder of the recipes, recipes/ablations by default; recipes/joined compares joined and single
# frames. SEEDS="0 1" chooses the seeds, EXTRA="--steps 4 --decay-steps 1" adds settings.
set -euo pipefail
packs=${1:?"PACKS, the folder of packs, is missing"} out=${2:?"OUT, the folder of the runs, is missing"}
here=$(cd "$(dirname "$0")/.." && pwd)
for recipe in "${3:-$here/recipes/ablations}"/*.toml; do
  for seed in ${SEEDS:-0 1 2}; do
    name=$(basename "$recipe" .toml)
    pcavs train "$recipe" --packs "$packs" --seed "$seed" --run "$out/$name/$seed" ${EXTRA:-}
  done
done
python "$here/benchmarks/ablation_table.py" "$out"
