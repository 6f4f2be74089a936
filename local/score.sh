#!/usr/bin/env bash
# Scores one decode folder, as Kaldi's local/score.sh does; steps/score.sh scores and pools them all.
set -euo pipefail

help_message="usage: local/score.sh <fold-data> <lang> <decode-dir>
  e.g. local/score.sh data/folds/speaker/Ses01F/test_clean \\
         data/folds/speaker/Ses01F/lang_char exp/joint_clean/fold_Ses01F/decode_clean
Run it in the recipe's folder. Where <decode-dir> has text, it writes scoring_kaldi/wer (%WER), per_spk,
per_emo, per_style and utt2counts, and errs with every utterance aligned; where it has utt2emo,
scoring_ser/acc (%ACC), confusion, the same three and utt2pred, with emo_post also ece. A missing or extra hypothesis is an error."

if [ -z "${ROOT:-}" ]; then
  # shellcheck source=path.sh
  . "$(dirname "${BASH_SOURCE[0]}")"/../path.sh
fi
# shellcheck source=utils/parse_options.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "error: score.sh: three arguments are needed; $help_message" >&2
  exit 1
fi
python3 -m jointasr.bin.score "$1" "$2" "$3"
