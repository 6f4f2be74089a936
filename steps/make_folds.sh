#!/usr/bin/env bash
# Stage 3: split the utterances into training, dev and test parts for each fold.
set -euo pipefail

scheme=speaker    # speaker|session|given: leave one speaker or session out, or as the corpus says
dev=heldout       # heldout|partner: dev set, a share of the dialogues or the session's other speaker
dev_fraction=0.1  # X: share of each training speaker's dialogues that is held out (heldout)
seed=0            # N: seed of the draw of held-out dialogues
folds=""          # "ID ...": folds that must exist; all folds are written in any case

help_message="Usage: $0 [options] <data>
Write <data>/folds/<scheme>/<fold>/{train,dev,test}.list and folds.json, which counts the dialogues
and sentences that the parts share. Run it in the recipe's folder."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -ne 1 ]; then die "expected one data folder" "see $0 --help"; fi
exec python3 -m jointasr.bin.make_folds "$1/local/selected" "$1/folds/$scheme" --scheme "$scheme" \
  --dev "$dev" --dev-fraction "$dev_fraction" --seed "$seed" --folds "$folds"
