#!/usr/bin/env bash
# Stage 7: train every system on every condition and fold, as one array of jobs.
set -euo pipefail

conditions="clean noisy" # training sets
folds=""                # ids, blank between; default: all of the conf's scheme
seed=0                  # several with blanks; k > 0 writes to exp/<name>-s<k>_*
set=""                  # overrides of conf keys, e.g. "alpha=0.3 train.epochs=10"
ngpu=1                  # cards for each training; batches stay the conf's, each card has its share
nodes=1                 # machines for each training, with so many cards each
dry_run=false           # only say what would be run

help_message="Usage: $0 [options] <conf> ...
Trains exp/<name>_<condition>/fold_<fold> for each conf file; the log is train.log in there.
Options: --conditions \"clean noisy\"  --folds \"ID ...\"  --seed \"K ...\"  --set \"KEY=VALUE ...\"
         --ngpu N  --nodes N  --dry-run true"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
read -ra runner <<<"$train_cmd"
if [ "$dry_run" = true ]; then runner+=(--dry-run); fi
limits=$(python3 -m jointasr.bin.conf "$@" --set "$set" --each batch.max_duration)
if [[ $limits == *auto* ]]; then
  (
    lock_output exp/max_duration.json  # of two runs one looks for it
    [ -f exp/max_duration.json ] || "${runner[@]}" --gpu 1 exp/log/find_batch.log \
      python3 -m jointasr.bin.find_batch "$@" --set "$set"
  )
fi
table=$(python3 -m jointasr.bin.jobs train "$@" --cards $((ngpu * nodes)) \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
runner+=(--gpu "$ngpu" --nodes "$nodes")
program=(python3 -m jointasr.bin.train)
if [ "$ngpu" -gt 1 ] || [ "$nodes" -gt 1 ]; then
  program=("$ROOT"/utils/torchrun.sh --nodes "$nodes" --ngpu "$ngpu" -- jointasr.bin.train)
fi
"${runner[@]}" --table - "${program[@]}" <<<"$table"
