#!/usr/bin/env bash
# Score one decode folder, like Kaldi's local/score.sh; steps/score.sh scores and pools all of them.
set -euo pipefail

help_message="Usage: $0 <fold-data> <lang> <decode-dir>
  e.g.: $0 data/folds/speaker/Ses01F/test_clean \\
          data/folds/speaker/Ses01F/lang_char exp/joint_clean/fold_Ses01F/decode_clean
If <decode-dir> has text, write scoring_kaldi/{wer (%WER), per_spk, per_emo, per_style, utt2counts}
and errs with the alignment of each utterance. If it has utt2emo, write scoring_ser/{acc (%ACC),
confusion, per_spk, per_emo, per_style, utt2pred}, and ece if it has emo_post. A missing or extra
hypothesis is an error. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 3 ]; then die "expected three arguments" "see $0 --help"; fi
exec python3 -m jointasr.bin.score "$1" "$2" "$3"
