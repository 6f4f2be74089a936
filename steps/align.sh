#!/usr/bin/env bash
# After stage 8: when each word and unit is said, by every trained model that hears words.
set -euo pipefail

of=ref                  # ref | hyp: the transcripts, or what stage 8 recognised
conditions="clean noisy" # training sets
folds=""                # ids, blank between; default: all of the conf's scheme
seed=0                  # which trainings
set=""                  # overrides given to training
method=default          # of the search of stage 8 (hyp)
tests=""                # default: the recipe's conf/tests.tsv, else the shared one

help_message="Usage: $0 [options] <conf> ...
Writes exp/<name>_<condition>/fold_<fold>/align_<scenario>_{ref,hyp[_<method>]}/{words,units}.ctm:
utterance, channel, begin and duration in seconds, word or unit, and the word's posterior where the
method of search knows it. Run it in the recipe's folder.
Options: --of ref|hyp  --conditions \"clean noisy\"  --folds \"ID ...\"  --seed \"K ...\"
         --set \"KEY=VALUE ...\"  --method NAME  --tests FILE"
if [ -z "${ROOT:-}" ]; then
  # shellcheck source=path.sh
  . "$(dirname "${BASH_SOURCE[0]}")"/../path.sh
fi
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/cmd.sh

if [ $# -eq 0 ]; then die "no conf file given" "see $0 --help"; fi
table=$(python3 -m jointasr.bin.jobs align "$@" \
  --conditions "$conditions" --folds "$folds" --seed "$seed" --set "$set")
read -ra runner <<<"$decode_cmd"
"${runner[@]}" --table - python3 -m jointasr.bin.align --of "$of" --tests "$tests" \
  --method "$method" <<<"$table"
