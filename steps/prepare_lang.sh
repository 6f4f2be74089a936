#!/usr/bin/env bash
# Stage 4: write the units and emotion labels of each fold.
set -euo pipefail

scheme=speaker            # speaker|session|given: fold scheme
folds=""                  # "ID ...": folds; default: all
units_type=char           # char|bpe|unigram: units of the CTC output
units_size=500            # N: number of SentencePiece units, blank not counted (not for char)
emotions=ang,hap,neu,sad  # A,B,...: emotion classes
letters=ABCDEFGHIJKLMNOPQRSTUVWXYZ  # ABC...: alphabet of the transcripts

help_message="Usage: $0 [options] <data>
Write <data>/folds/<scheme>/<fold>/lang_<units>/{tokens.txt,labels.txt,units.json}, and bpe.model
for SentencePiece units, which are trained on the fold's training text only. Run it in the recipe's
folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 1 ]; then die "expected one data folder" "see $0 --help"; fi
exec python3 -m jointasr.bin.prepare_lang "$1" --scheme "$scheme" --folds "$folds" \
  --units-type "$units_type" --units-size "$units_size" --emotions "$emotions" \
  --letters "$letters"
