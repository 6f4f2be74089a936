#!/usr/bin/env bash
# Stage 7: train every system on every condition and fold, as one array of jobs.
set -euo pipefail

conditions="clean noisy" # training sets
folds=""                # ids, blank between; default: all of the conf's scheme
seed=0                  # several with blanks; k > 0 writes to exp/<name>-s<k>_*
set=""                  # overrides of conf keys, e.g. "alpha=0.3 train.epochs=10"

help_message="Usage: $0 [options] <conf> ...
Trains exp/<name>_<condition>/fold_<fold> for each conf file; the log is train.log in there.
Options: --conditions \"clean noisy\"  --folds \"ID ...\"  --seed \"K ...\"  --set \"KEY=VALUE ...\""
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
table=$(python3 -m jointasr.bin.jobs train "$@" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
read -ra runner <<<"$train_cmd"
"${runner[@]}" --table - python3 -m jointasr.bin.train <<<"$table"
