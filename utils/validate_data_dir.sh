#!/usr/bin/env bash
# Check a Kaldi data dir: sorted, complete and consistent tables, readable audio.
set -euo pipefail

no_audio=false  # do not open the audio files

help_message="Usage: $0 [options] <data-dir>
Check that the tables are sorted (LC_ALL=C), complete and list the same utterances, and open the
header of each audio file or archive entry. Print all problems; exit with code 1 if there is any.
utils/fix_data_dir.sh fixes most of them."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 1 ] || die "expected one data dir" "see $0 --help"
. "$ROOT"/path.sh
options=()
[ "$no_audio" = false ] || options=(--no-audio)
exec python3 -m jointasr.bin.validate_data_dir "${options[@]}" "$1"
