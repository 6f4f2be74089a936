#!/usr/bin/env bash
# Stage 4: units and emotion labels of each fold.
set -euo pipefail

scheme=speaker          # folds leave one speaker or one session out: speaker | session | given
folds=""                # ids, blank between; default: all there are
units_type=char         # char | bpe | unigram
units_size=500          # number of pieces, blank not counted (not for char)
emotions=ang,hap,neu,sad
letters=ABCDEFGHIJKLMNOPQRSTUVWXYZ  # alphabet of the transcripts

help_message="Usage: $0 [options] <data>
Makes <data>/folds/<scheme>/<fold>/lang_<units>/{tokens.txt,labels.txt,units.json}, and bpe.model
for SentencePiece units, which are learned from the fold's training text only.
Options: --scheme speaker|session|given  --folds \"ID ...\"  --units-type char|bpe|unigram
         --units-size N  --emotions a,b,c  --letters ABC"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 1 ]; then die "one data folder is expected" "see $0 --help"; fi
python3 -m jointasr.bin.prepare_lang "$1" --scheme "$scheme" --folds "$folds" \
  --units-type "$units_type" --units-size "$units_size" --emotions "$emotions" \
  --letters "$letters"
