#!/usr/bin/env bash
# Print the line with the lowest word error rate.
set -euo pipefail

help_message="Usage: grep WER exp/*/fold_*/decode_*/scoring_kaldi/wer | $0
   or: $0 <file> ...
Print the line \"%WER 15.02 [ ... ]\" with the lowest rate (the first of equal ones), after the name
of its file."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
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
      print "error: best_wer.sh: no line with %WER in the input" > "/dev/stderr"
      exit 1
    }
    print line
  }' "$@"
