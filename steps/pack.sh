#!/usr/bin/env bash
# A trained model as a folder for others: weights, search, confidences, model card.
set -euo pipefail

method=default # of search; one that stage 8 has decoded with
onnx=false     # also graphs for programs without Python
push=""        # id on the hub to put it at as well

help_message="Usage: $0 [options] <exp/system_condition/fold_ID> <folder>
Makes <folder>, which \"jointasr recognize --model <folder>\" uses. Run it in the recipe's folder.
Options: --method NAME  --onnx true  --push ID"
if [ -z "${ROOT:-}" ]; then
  # shellcheck source=path.sh
  . "$(dirname "${BASH_SOURCE[0]}")"/../path.sh
fi
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 2 ]; then die "a model and a folder are needed" "see $0 --help"; fi
program=(python3 -m jointasr.bin.pack --method "$method" --push "$push")
if [ "$onnx" = true ]; then program+=(--onnx); fi
exec "${program[@]}" "$1" "$2"
