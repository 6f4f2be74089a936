#!/usr/bin/env bash
# Stage 4: n-gram models of each fold's training text.
set -euo pipefail

scheme=speaker          # folds leave one speaker or one session out: speaker | session | given
folds=""                # ids, blank between; default: all there are
letters=ABCDEFGHIJKLMNOPQRSTUVWXYZ  # alphabet of the transcripts
conf=decode.yaml        # its section lm says which orders, and names files with more text

help_message="Usage: $0 [options] <data>
Makes <data>/folds/<scheme>/<fold>/lm_<order>gram/{lm.arpa,lm.json} with modified Kneser-Ney
smoothing, from the fold's training text and the files named in the conf.
Options: --scheme speaker|session|given  --folds \"ID ...\"  --letters ABC  --conf FILE"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 1 ]; then die "one data folder is expected" "see $0 --help"; fi
python3 -m jointasr.bin.prepare_lm "$1" --scheme "$scheme" --folds "$folds" \
  --letters "$letters" --conf "$conf"
