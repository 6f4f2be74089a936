#!/usr/bin/env bash
# Stage 8: decode the test scenarios with every trained model, one job per model.
set -euo pipefail

conditions="clean noisy"  # "NAME ...": training conditions
folds=""                  # "ID ...": folds; default: all folds of the conf's scheme
seed=0                    # "K ...": training seeds
set=""                    # "KEY=VALUE ...": overrides of conf keys that were given to training
method=default            # NAME: default, one_best, greedy, nbest, hlg, hlg_rescore or beam
feats=wav                 # wav|conv: input; conv features are archived by stage 6 with --feats conv
skip_bad=false            # count unreadable audio as errors instead of failing the job
dry_run=false             # only print the jobs
tests=""                  # FILE: test scenarios; default: conf/tests.tsv of the recipe or project

help_message="Usage: $0 [options] <conf> ...
Write exp/<name>_<condition>/fold_<fold>/decode_<scenario>[_<method>]/{text,utt2emo,emo_post}.
Methods with a language model also write word_post, and tune_<method>/{scales.tsv,scales.json}: the
scales, chosen on the dev set. The settings of all methods are in conf/decode.yaml. Run it in the
recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
read -ra runner <<<"$decode_cmd"
options=(--tests "$tests" --method "$method" --feats "$feats")
dry=()
if [ "$dry_run" = true ]; then dry=(--dry-run) && runner+=(--dry-run); fi
read -ra list_jobs <<<"$table_cmd"
table=$("${list_jobs[@]}" decode "$@" "${options[@]}" "${dry[@]}" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
program=(python3 -m jointasr.bin.decode "${options[@]}")
if [ "$skip_bad" = true ]; then program+=(--skip-bad); fi
"${runner[@]}" --table - "${program[@]}" <<<"$table"
