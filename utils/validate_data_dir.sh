#!/usr/bin/env bash
# Check a Kaldi data dir: tables sorted, complete, consistent with each other; audio readable.
set -euo pipefail

no_audio=false
help_message='usage: utils/validate_data_dir.sh [--no-audio true] <data-dir>
  Checks that the tables are sorted (LC_ALL=C), complete and about the same utterances, and opens the
  header of each audio file or archive entry (not with --no-audio true). Lists every problem; exit
  code 1 if there is one. utils/fix_data_dir.sh mends most of them.'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 1 ] || die "one data dir expected" "see utils/validate_data_dir.sh --help"
. "$ROOT"/path.sh
options=()
[ "$no_audio" = false ] || options=(--no-audio)
python3 -m jointasr.bin.validate_data_dir "${options[@]}" "$1"
