#!/usr/bin/env bash
# Time training and decoding on this machine.
set -euo pipefail

conf=conf/asr.yaml,conf/ser.yaml,conf/joint.yaml  # A.yaml,B.yaml,...: systems to time
set=         # "KEY=VALUE ...": overrides of conf keys, e.g. ctc=torch
shape=base   # tiny|base|large: size of the models, with random weights; the paper's models are large
seconds=100  # "S ...": seconds of audio per batch
steps=10     # N: steps per measurement
json=        # FILE: also write the figures to this file

help_message="Usage: $0 [options]
  e.g. on a GPU server: $0 --shape large --set ctc=torch --seconds \"100 200 300\"
Print for each system: seconds of audio per second, the parts of a step, padding, model FLOPs
utilization (relative to the best matrix product measured), peak memory, and the hours that Table 1
would take. The audio is synthetic, with the utterance lengths of IEMOCAP."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
. "$ROOT"/path.sh
IFS=, read -ra confs <<<"$conf"
options=(--set "$set" --shape "$shape" --seconds "$seconds" --steps "$steps")
if [ -n "$json" ]; then options+=(--json "$json"); fi
exec python3 -m jointasr.bin.bench "${confs[@]}" "${options[@]}"
