#!/usr/bin/env bash
# Time training and decoding on this machine.
set -euo pipefail

conf=conf/asr.yaml,conf/ser.yaml,conf/joint.yaml
set=
shape=base
seconds=100
steps=10
json=
help_message='usage: utils/bench.sh [options]
  Prints for each system: seconds of audio a second, the parts of a step, padding, model FLOPs
  utilisation (against the best matrix product measured), peak memory, the hours that Table 1 would
  take. Audio of IEMOCAP'"'"'s shape is made for it. On a GPU server:
  utils/bench.sh --shape large --set ctc=torch --seconds "100 200 300"
  --conf A.yaml,B.yaml      systems (default: asr, ser, joint)
  --set "KEY=VALUE ..."     overrides of conf keys, e.g. ctc=torch
  --shape tiny|base|large   sizes of the models, whose weights are random; large is the paper'"'"'s
  --seconds "S ..."         of audio in a batch
  --steps N                 of each timing
  --json FILE               also write the figures there'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 0 ] || die "no arguments expected, got: $*" "see utils/bench.sh --help"
. "$ROOT"/path.sh
IFS=, read -ra confs <<<"$conf"
options=(--set "$set" --shape "$shape" --seconds "$seconds" --steps "$steps")
if [ -n "$json" ]; then options+=(--json "$json"); fi
exec python3 -m jointasr.bin.bench "${confs[@]}" "${options[@]}"
