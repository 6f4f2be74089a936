#!/usr/bin/env bash
# Stage 7: train every system on every condition and fold, as one array of jobs.
set -euo pipefail

conditions="clean noisy"  # "NAME ...": training conditions
folds=""                  # "ID ...": folds; default: all folds of the conf's scheme
seed=0                    # "K ...": training seeds; K > 0 writes to exp/<name>-s<K>_*
set=""                    # "KEY=VALUE ...": overrides of conf keys, e.g. "alpha=0.3 train.epochs=10"
ngpu=1                    # N: GPUs per training and machine; they share the batches of the conf
nodes=1                   # N: machines per training
dry_run=false             # only print the jobs

help_message="Usage: $0 [options] <conf> ...
Train exp/<name>_<condition>/fold_<fold> for each conf file; the log is train.log in that folder.
Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
read -ra runner <<<"$train_cmd"
dry=()
if [ "$dry_run" = true ]; then dry=(--dry-run) && runner+=(--dry-run); fi
limits=$(python3 -m jointasr.bin.conf "$@" --set "$set" --each batch.max_duration)
if [[ $limits == *auto* ]]; then
  (
    lock_output exp/max_duration.json  # concurrent runs search once
    [ -f exp/max_duration.json ] || "${runner[@]}" --gpu 1 exp/log/find_batch.log \
      python3 -m jointasr.bin.find_batch "$@" --set "$set"
  )
fi
read -ra list_jobs <<<"$table_cmd"
table=$("${list_jobs[@]}" train "$@" --cards $((ngpu * nodes)) "${dry[@]}" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
runner+=(--gpu "$ngpu" --nodes "$nodes")
program=(python3 -m jointasr.bin.train)
if [ "$ngpu" -gt 1 ] || [ "$nodes" -gt 1 ]; then
  program=("$ROOT"/utils/torchrun.sh --nodes "$nodes" --ngpu "$ngpu" -- jointasr.bin.train)
fi
"${runner[@]}" --table - "${program[@]}" <<<"$table"
