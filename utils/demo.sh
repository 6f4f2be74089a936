#!/usr/bin/env bash
# Serve a demo page for packed models on this machine.
set -euo pipefail

port=8000               # N: port of the page
noise=data/local/musan  # DIR: prepared noise to add, if it exists
device=                 # NAME: cpu, cuda, cuda:1, ...; default: the GPU if there is one

help_message="Usage: $0 [options] <packed-model> [<packed-model>]
Recognize recorded or uploaded audio with one model, or compare two. The page is
http://127.0.0.1:<port>; it is not reachable from other machines."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -eq 0 ]; then die "no packed model given" "see $0 --help"; fi
exec python3 -m jointasr.bin.demo --port "$port" --noise "$noise" ${device:+--device "$device"} "$@"
