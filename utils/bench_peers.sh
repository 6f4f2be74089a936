#!/usr/bin/env bash
# Time training against SpeechBrain: same files, same model, same audio per step, epochs interleaved.
set -euo pipefail

shape=tiny  # tiny|base|large: size of the model, with random weights
minutes=10  # M: minutes of audio per epoch
rounds=3    # N: epochs of each toolkit

help_message="Usage: $0 [options]
Create the environment .venv-peers (stack torch plus SpeechBrain, from requirements/peers.txt) and
print the seconds of audio per second of both toolkits, and the ratio, for emotion recognition
(batches of 4 and 8) and CTC (batches of 8, shuffled and sorted by length).
Environment: OMP_NUM_THREADS, threads of both toolkits (default: 1)."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
cd "$ROOT"
utils/setup_env.sh --stack torch --link false
packages() { "$1"/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
if ! cmp -s requirements/peers.txt .venv-peers/peers.txt; then
  .venv-torch/bin/python -m venv --clear .venv-peers
  .venv-peers/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/peers.txt
  packages .venv-torch >"$(packages .venv-peers)/stack.pth"  # adds the libraries of stack torch
  cp requirements/peers.txt .venv-peers/peers.txt
fi
export JOINTASR_VENV=$ROOT/.venv-peers
. ./path.sh
time_it() { python3 utils/bench_peers.py --shape "$shape" --minutes "$minutes" --rounds "$rounds" "$@"; }
for size in 4 8; do time_it --task ser --batch "$size" --order shuffled; done
for order in sorted shuffled; do time_it --task asr --batch 8 --order "$order"; done
