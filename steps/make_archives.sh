#!/usr/bin/env bash
# Stage 5: Kaldi archives of every set, then the data dirs of the folds.
set -euo pipefail

feats=wav               # wav: int16 waveforms | conv: outputs of a frozen extractor for fixed sets
model=""                # conv: the encoder whose convolutional part is used, folder or hub id
sets=""                 # default: wav: all sets; conv: the test scenarios
musan=data/local/musan  # prepared noise
tests=""                # scenarios; default: the recipe's conf/tests.tsv, else the shared one
scheme=speaker          # folds leave one speaker or one session out: speaker | session | given
folds=""                # folds to make data dirs for, blank between; default: all
nj=2                    # parallel jobs

help_message="Usage: $0 [options] <data>
wav (default): writes <data>/<set>/{wav.scp,text,...,cuts.jsonl.gz,archives/}, clean and noisy, from
the mixtures that stage 2 planned, and <data>/folds/<scheme>/<fold>/{train,dev,test}_*, the same
tables cut down to a fold. Sets that are up to date are kept; folds can be added later.
conv: writes <data>/<set>/conv_<digest>/feats.scp for archived sets; needs --model.
Options: --feats wav|conv  --model M  --sets \"S ...\"  --musan DIR  --tests FILE
         --scheme speaker|session|given  --folds \"ID ...\"  --nj N"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/lock.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "one data folder is expected" "see $0 --help"; fi
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
    if [ -z "$model" ]; then die "--feats conv needs an encoder" "give --model FOLDER"; fi
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
