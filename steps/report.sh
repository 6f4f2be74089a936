#!/usr/bin/env bash
# Stage 10: writes exp/RESULTS.md and exp/report.html from what stage 9 scored; prints Table 1.
set -euo pipefail

exp=exp
method=default
tests=
paper=false
help_message="usage: steps/report.sh [options]
  --exp DIR        holds results.json and the decode folders (default: exp)
  --method NAME    decoding method to report (default: default)
  --tests FILE     scenarios (default: conf/tests.tsv of the recipe, else the shared one)
  --paper true     show the paper's Table 1 beside ours (default: false)"

. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 0 ]; then die "unexpected argument $1" "see $0 --help"; fi
options=(--exp "$exp" --method "$method" --tests "$tests")
if [ "$paper" = true ]; then options+=(--paper "$ROOT"/conf/paper/table1.tsv); fi
python3 -m jointasr.bin.report "${options[@]}"
