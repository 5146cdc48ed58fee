#!/usr/bin/env bash
# Trains for some minutes on a machine that is lent for a while, and leaves weights in parts that fit a small transfer.
#
#     runs/gpu.sh BUNDLE RECIPE MINUTES OUT [START_PART...]
#
# BUNDLE is the folder (or its .tar) that scripts/gpu_bundle.py made. Parts of an earlier OUT may follow: they are joined,
# and training goes on from their weights, in half precision and with the optimiser warmed up anew, so not to the bit.
# OUT gets talker.safetensors.00, .01, ... of at most 14 MiB each, journal.jsonl and the last preview.
set -euo pipefail
bundle=${1:?"the folder of scripts/gpu_bundle.py, or its .tar"} recipe=${2:?"a recipe"}
minutes=${3:?"how long to train"} out=${4:?"a folder for what comes back"}
shift 4
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$bundle" ]; then
  mkdir "$work/bundle" && tar -xf "$bundle" -C "$work/bundle" --strip-components=1
  bundle=$work/bundle
fi
start=()
if [ $# -gt 0 ]; then
  cat "$@" > "$work/start.safetensors"
  start=("\"start\": \"$work/start.safetensors\",")
fi
python=${PYTHON:-python3}
"$python" "$bundle/train.py" "{\"recipe\": \"$recipe\", ${start[*]-} ${EXTRA:-} \
  \"stop_minutes\": $minutes, \"run\": \"$work/run\"}"
"$python" "$bundle/halve.py" "$work/run/latest.safetensors" "$work/talker.safetensors"
rm -f "$out"/talker.safetensors.*
split --bytes=14M --numeric-suffixes "$work/talker.safetensors" "$out/talker.safetensors."
cp "$work/run/journal.jsonl" "$work/run/options.toml" "$out/"
cp "$(ls "$work"/run/previews/*.png | tail -n 1)" "$out/preview.png"
