#!/usr/bin/env bash
# Stage 8: decode the test scenarios with every trained model, one job per model.
set -euo pipefail

conditions="clean noisy" # training sets
folds=""                # ids, blank between; default: all of the conf's scheme
seed=0                  # which trainings
set=""                  # overrides given to training
method=default          # default | one_best | greedy | nbest | hlg | hlg_rescore | beam
feats=wav               # wav | conv (made by stage 6 with --feats conv)
skip_bad=false          # audio that cannot be read counts as an error, instead of ending the job
dry_run=false           # only say what would be run
tests=""                # default: the recipe's conf/tests.tsv, else the shared one

help_message="Usage: $0 [options] <conf> ...
Writes exp/<name>_<condition>/fold_<fold>/decode_<scenario>[_<method>]/{text,utt2emo,emo_post};
methods with a language model also word_post, and tune_<method>/{scales.tsv,scales.json}: how the
model is weighed, chosen on dev. conf/decode.yaml has their settings.
Options: --conditions \"clean noisy\"  --folds \"ID ...\"  --seed \"K ...\"  --set \"KEY=VALUE ...\"
         --method NAME  --feats wav|conv  --tests FILE
         --skip-bad true  --dry-run true"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
table=$(python3 -m jointasr.bin.jobs decode "$@" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
read -ra runner <<<"$decode_cmd"
if [ "$dry_run" = true ]; then runner+=(--dry-run); fi
program=(python3 -m jointasr.bin.decode --tests "$tests" --method "$method" --feats "$feats")
if [ "$skip_bad" = true ]; then program+=(--skip-bad); fi
"${runner[@]}" --table - "${program[@]}" <<<"$table"
