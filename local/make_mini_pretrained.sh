#!/usr/bin/env bash
# The mini recipe's "pretrained" models: the encoder learns characters from other voices (stage 6).
set -euo pipefail

ctc=                    # k2 | torch, instead of the conf's engine

help_message="Usage: $0 [--ctc k2|torch] <corpus>
From the synthetic speech in <corpus>, made by local/make_mini.py, writes exp/pretrained/encoder (a
wav2vec2 checkpoint with a CTC head) and exp/pretrained/bert (small, random weights)."
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/cmd.sh

if [ $# -ne 1 ]; then die "one folder is expected" "see $0 --help"; fi
"$ROOT"/local/prepare_pretrain.py "$1" data/pretrain
"$ROOT"/local/make_mini_models.py "$1/text.txt" exp/pretrained/start exp/pretrained/bert
read -ra runner <<<"$train_cmd"
"${runner[@]}" --gpu 1 JOB=1:1 exp/pretrain_noisy/fold_all/train.log \
  python3 -m jointasr.bin.train --conf pretrain.yaml --name pretrain --condition noisy \
  --fold all --data data/pretrain --out exp/pretrain_noisy/fold_all ${ctc:+--set "ctc=$ctc"}
python3 -m jointasr.bin.export_encoder exp/pretrain_noisy/fold_all exp/pretrained/encoder
