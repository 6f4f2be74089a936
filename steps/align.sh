#!/usr/bin/env bash
# After stage 8: align words and units to the audio with every trained model that has a CTC output.
set -euo pipefail

of=ref                    # ref|hyp: align the reference transcripts or the hypotheses of stage 8
conditions="clean noisy"  # "NAME ...": training conditions
folds=""                  # "ID ...": folds; default: all folds of the conf's scheme
seed=0                    # "K ...": training seeds
set=""                    # "KEY=VALUE ...": overrides of conf keys that were given to training
method=default            # NAME: decoding method of stage 8, with --of hyp
tests=""                  # FILE: test scenarios; default: conf/tests.tsv of the recipe or project

help_message="Usage: $0 [options] <conf> ...
Write exp/<name>_<condition>/fold_<fold>/align_<scenario>_{ref,hyp[_<method>]}/{words,units}.ctm:
utterance, channel, start and duration in seconds, word or unit, and the word's posterior where the
decoding method gives one. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
options=(--of "$of" --tests "$tests" --method "$method")
read -ra list_jobs <<<"$table_cmd"
table=$("${list_jobs[@]}" align "$@" "${options[@]}" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
read -ra runner <<<"$decode_cmd"
"${runner[@]}" --table - python3 -m jointasr.bin.align "${options[@]}" <<<"$table"
