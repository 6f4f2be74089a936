#!/usr/bin/env bash
# Stage 9: score all decode folders of the given systems, pool over folds, update results.json.
set -euo pipefail

folds=""                  # "ID ...": folds to pool; default: all folds of the given systems
method=default            # NAME: decoding method; its decode folders are named decode_<scenario>_NAME
tests=""                  # FILE: test scenarios; default: conf/tests.tsv of the recipe or project
results=exp/results.json  # FILE: results to update
command=./run.sh          # TEXT: command to record in the results, so that they can be reproduced
allow_missing=false       # pool incomplete results and list what is missing, instead of failing

help_message="Usage: $0 [options] exp/<name>_<condition> ...
  e.g.: $0 --folds \"Ses01F Ses02M\" exp/asr_clean exp/ser_clean exp/joint_clean
Write scores into each decode folder and pooled results into exp/results.json, where the entries of
other systems stay. Scores are always recomputed (seconds), so they are never older than the
hypotheses. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -eq 0 ]; then die "no system given" "see $0 --help"; fi
options=(--folds "$folds" --method "$method" --tests "$tests" --results "$results"
  --command "$command")
if [ "$allow_missing" = true ]; then options+=(--allow-missing); fi
exec python3 -m jointasr.bin.pool "${options[@]}" "$@"
