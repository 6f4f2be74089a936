#!/usr/bin/env bash
# Stage 6 of egs/mini: train the encoder on characters of other voices, and make a small BERT.
set -euo pipefail

ctc=""  # k2|torch: CTC engine; default: the conf's

help_message="Usage: $0 [options] <corpus>
From the synthetic speech in <corpus>, made by local/make_mini.py, write exp/pretrained/encoder (a
wav2vec2 checkpoint with a CTC head) and exp/pretrained/bert (small, random weights). Run it in the
recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "expected one corpus folder" "see $0 --help"; fi
"$ROOT"/local/prepare_pretrain.py "$1" data/pretrain
"$ROOT"/local/make_mini_models.py "$1/text.txt" exp/pretrained/start exp/pretrained/bert
out=exp/pretrain_noisy/fold_all
program=(python3 -m jointasr.bin.train --conf pretrain.yaml --name pretrain --condition noisy
  --fold all --data data/pretrain --out "$out" ${ctc:+--set "ctc=$ctc"})
if [ -f $out/.done ] && [ "${JOINTASR_ON_CHANGE:-stop}" != force ]; then
  "${program[@]}"  # only checks that it is up to date; does not overwrite the log
else
  read -ra runner <<<"$train_cmd"
  "${runner[@]}" --gpu 1 JOB=1:1 "$out/train.log" "${program[@]}"
fi
python3 -m jointasr.bin.export_encoder "$out" exp/pretrained/encoder
