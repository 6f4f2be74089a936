#!/usr/bin/env bash
# Stage 4: estimate n-gram language models from each fold's training text.
set -euo pipefail

scheme=speaker    # speaker|session|given: fold scheme
folds=""          # "ID ...": folds; default: all
letters=ABCDEFGHIJKLMNOPQRSTUVWXYZ  # ABC...: alphabet of the transcripts
conf=decode.yaml  # FILE: section lm gives the orders and files with more text

help_message="Usage: $0 [options] <data>
Write <data>/folds/<scheme>/<fold>/lm_<order>gram/{lm.arpa,lm.json}, with modified Kneser-Ney
smoothing, from the fold's training text and the files named in the conf. Run it in the recipe's
folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 1 ]; then die "expected one data folder" "see $0 --help"; fi
exec python3 -m jointasr.bin.prepare_lm "$1" --scheme "$scheme" --folds "$folds" \
  --letters "$letters" --conf "$conf"
