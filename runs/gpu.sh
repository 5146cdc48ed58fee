#!/usr/bin/env bash
# Trains for some minutes on a machine with an accelerator; leaves half-precision weights in parts of at most 14 MiB.
#
#     runs/gpu.sh BUNDLE RECIPE MINUTES OUT [START_PART...]
#
# BUNDLE: the folder that scripts/gpu_bundle.py made, or a .tar of it. OUT gets talker.safetensors.00, .01 and so on,
# journal.jsonl, options.toml and the last preview. START_PART: parts of an earlier OUT, from whose weights training
# continues; they are rounded to half precision and the optimiser starts anew, so the result is not exactly that of
# one long run.
# EXTRA='"lr": 1e-4,' adds settings as JSON.
set -euo pipefail
bundle=${1:?"BUNDLE, a folder of scripts/gpu_bundle.py or its .tar, is missing"} recipe=${2:?"RECIPE is missing"}
minutes=${3:?"MINUTES is missing"} out=${4:?"OUT, the folder for the results, is missing"}
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
