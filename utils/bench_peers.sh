#!/usr/bin/env bash
# Time our training against SpeechBrain's: same files, same model, same audio per step, by turns.
set -euo pipefail

shape=tiny
minutes=10
rounds=3
help_message='usage: utils/bench_peers.sh [options]
  Makes the environment .venv-peers (stack torch and SpeechBrain, from requirements/peers.txt) and
  prints seconds of audio a second of both, and the ratio, for: emotions, batches of 4 and 8; CTC,
  batches of 8 of shuffled and of length-sorted utterances.
  --shape tiny|base|large   sizes of the model, whose weights are random
  --minutes M               of audio in an epoch
  --rounds N                epochs of each
  Environment: OMP_NUM_THREADS, threads of both (default 1)'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 0 ] || die "no arguments expected, got: $*" "see utils/bench_peers.sh --help"
cd "$ROOT"
utils/setup_env.sh --stack torch --link false
packages() { "$1"/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
if ! cmp -s requirements/peers.txt .venv-peers/peers.txt; then
  .venv-torch/bin/python -m venv --clear .venv-peers
  .venv-peers/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/peers.txt
  packages .venv-torch >"$(packages .venv-peers)/stack.pth"  # its libraries are seen from here
  cp requirements/peers.txt .venv-peers/peers.txt
fi
export JOINTASR_VENV=$ROOT/.venv-peers
. ./path.sh
time_it() { python3 utils/bench_peers.py --shape "$shape" --minutes "$minutes" --rounds "$rounds" "$@"; }
for size in 4 8; do time_it --task ser --batch "$size" --order shuffled; done
for order in sorted shuffled; do time_it --task asr --batch 8 --order "$order"; done
