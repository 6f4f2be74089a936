#!/usr/bin/env bash
# Stage 5: write Kaldi archives of all sets, then the data dirs of the folds.
set -euo pipefail

feats=wav               # wav|conv: archive int16 waveforms, or the output of a frozen conv extractor
model=""                # MODEL: encoder whose conv extractor is used (conv), folder or hub id
sets=""                 # "NAME ...": sets; default: all sets (wav), the test scenarios (conv)
musan=data/local/musan  # DIR: prepared noise
tests=""                # FILE: test scenarios; default: conf/tests.tsv of the recipe or project
scheme=speaker          # speaker|session|given: fold scheme
folds=""                # "ID ...": folds to write data dirs for; default: all
nj=2                    # N: number of parallel jobs

help_message="Usage: $0 [options] <data>
With --feats wav, write <data>/<set>/{wav.scp,text,...,cuts.jsonl.gz,archives/}, clean and noisy,
from the mixtures planned by stage 2, and <data>/folds/<scheme>/<fold>/{train,dev,test}_*, the same
tables restricted to a fold. Sets that are up to date are skipped; folds can be added later.
With --feats conv, write <data>/<set>/conv_<digest>/feats.scp for archived sets.
Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "expected one data folder" "see $0 --help"; fi
data=$1
read -ra runner <<<"$cpu_cmd"
lock_output "$data"

case $feats in
  wav)
    options=("$data" --musan "$musan" --tests "$tests" --jobs "$nj")
    todo=$(python3 -m jointasr.bin.make_archives todo "${options[@]}" --sets "$sets")
    if [ -n "$todo" ]; then
      "${runner[@]}" "JOB=1:$nj" "$data/local/log/make_archives.JOB.log" \
        python3 -m jointasr.bin.make_archives write "${options[@]}" --sets "$todo" --job JOB
      python3 -m jointasr.bin.make_archives combine "${options[@]}" --sets "$todo"
    fi
    if [ -z "$sets" ]; then
      python3 -m jointasr.bin.make_fold_dirs "$data" --tests "$tests" --scheme "$scheme" \
        --folds "$folds"
    fi
    ;;
  conv)
    if [ -z "$model" ]; then die "--feats conv needs an encoder" "add --model FOLDER"; fi
    options=("$data" --tests "$tests" --jobs "$nj" --model "$model")
    todo=$(python3 -m jointasr.bin.make_conv_feats todo "${options[@]}" --sets "$sets")
    read -r digest todo <<<"$todo"
    if [ -z "$todo" ]; then exit 0; fi
    "${runner[@]}" "JOB=1:$nj" "$data/local/log/make_conv_feats.JOB.log" \
      python3 -m jointasr.bin.make_conv_feats write "${options[@]}" --sets "$todo" --job JOB
    python3 -m jointasr.bin.make_conv_feats combine "${options[@]}" --sets "$todo" \
      --digest "$digest"
    ;;
  *) die "--feats $feats is neither wav nor conv" "see $0 --help" ;;
esac
