#!/usr/bin/env bash
# Stage 3: who trains, who validates, who is tested.
set -euo pipefail

scheme=speaker          # leave one speaker or one session out: speaker | session | given
dev=heldout             # heldout: a share of dialogues | partner: the session's other speaker
dev_fraction=0.1        # share of each training speaker's dialogues (heldout)
seed=0                  # of the draw
folds=""                # names that must exist, blank between; all are made in any case

help_message="Usage: $0 [options] <data>
Writes <data>/folds/<scheme>/<fold>/{train,dev,test}.list and folds.json, which counts what the
parts share: dialogues, sentences.
Options: --scheme speaker|session|given  --dev heldout|partner  --dev-fraction X  --seed N
         --folds \"ID ...\""
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh

if [ $# -ne 1 ]; then die "one data folder is expected" "see $0 --help"; fi
python3 -m jointasr.bin.make_folds "$1/local/selected" "$1/folds/$scheme" --scheme "$scheme" \
  --dev "$dev" --dev-fraction "$dev_fraction" --seed "$seed" --folds "$folds"
