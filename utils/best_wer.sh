#!/usr/bin/env bash
# Print the line with the lowest word error rate.
set -euo pipefail

help_message='usage: grep WER exp/*/fold_*/decode_*/scoring_kaldi/wer | utils/best_wer.sh
   or: utils/best_wer.sh FILE...
  Of the lines with "%WER 15.02 [ ... ]" prints the one with the lowest (the first of equal ones),
  after the name of its file.'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh

awk '
  match($0, /%WER [0-9]+(\.[0-9]+)?/) {
    wer = substr($0, RSTART + 5, RLENGTH - 5) + 0
    if (!found || wer < best) {
      best = wer
      line = (ARGC > 1 ? FILENAME ":" : "") $0
      found = 1
    }
  }
  END {
    if (!found) {
      print "error: best_wer.sh: no line with %WER in what was read" > "/dev/stderr"
      exit 1
    }
    print line
  }' "$@"
