#!/usr/bin/env bash
# Stage 10: write the report of all scored systems and print Table 1.
set -euo pipefail

exp=exp         # DIR: folder with results.json and the decode folders
method=default  # NAME: decoding method to report
tests=""        # FILE: test scenarios; default: conf/tests.tsv of the recipe or project
paper=false     # show the paper's Table 1 next to these results

help_message="Usage: $0 [options]
Write exp/RESULTS.md and exp/report.html from the scores of stage 9. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 0 ]; then die "unexpected argument $1" "see $0 --help"; fi
options=(--exp "$exp" --method "$method" --tests "$tests")
if [ "$paper" = true ]; then options+=(--paper "$ROOT"/conf/paper/table1.tsv); fi
exec python3 -m jointasr.bin.report "${options[@]}"
