#!/usr/bin/env bash
# Stage 9: scores every decode folder of the systems given, pools over folds, updates results.json.
set -euo pipefail

folds=
method=default
tests=
results=exp/results.json
command=./run.sh
allow_missing=false
help_message='usage: steps/score.sh [options] exp/<name>_<clean|noisy> ...
  e.g. steps/score.sh --folds "Ses01F Ses02M" exp/asr_clean exp/ser_clean exp/joint_clean
Scores are always made anew (seconds), so none is older than its hypotheses. Cells of other systems
stay in results.json.
  --folds "F1 F2"        folds to pool (default: all that any of these systems has)
  --method NAME          of decoding: folders decode_<test>_NAME (default: those without NAME)
  --tests FILE           scenarios (default: conf/tests.tsv of the recipe, else the shared one)
  --results FILE         default exp/results.json
  --command TEXT         the command that made it all, for the reader to repeat (default: ./run.sh)
  --allow-missing true   pool what is there and say what is not (default: that is an error)'

. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -eq 0 ]; then die "no system given" "see $0 --help"; fi
options=(--folds "$folds" --method "$method" --tests "$tests" --results "$results"
  --command "$command")
if [ "$allow_missing" = true ]; then options+=(--allow-missing); fi
python3 -m jointasr.bin.pool "${options[@]}" "$@"
