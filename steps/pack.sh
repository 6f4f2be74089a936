#!/usr/bin/env bash
# Pack a trained model for use elsewhere: weights, search settings, calibration, model card.
set -euo pipefail

method=default  # NAME: decoding method to use; stage 8 must have run with it
onnx=false      # also export ONNX graphs
push=""         # ID: also upload the folder to the hub under this id

help_message="Usage: $0 [options] <exp/system_condition/fold_ID> <folder>
Write <folder>, for \"jointasr recognize --model <folder>\". Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 2 ]; then die "expected a model and an output folder" "see $0 --help"; fi
program=(python3 -m jointasr.bin.pack --method "$method" --push "$push")
if [ "$onnx" = true ]; then program+=(--onnx); fi
exec "${program[@]}" "$1" "$2"
