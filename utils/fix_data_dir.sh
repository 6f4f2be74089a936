#!/usr/bin/env bash
# Fix a Kaldi data dir: sort its tables and drop utterances that are not in all of them.
set -euo pipefail

help_message="Usage: $0 <data-dir>
Sort the tables (LC_ALL=C), drop utterances that are missing in some table, and print which and why.
The old tables are saved in <data-dir>/.backup."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 1 ] || die "expected one data dir" "see $0 --help"
. "$ROOT"/path.sh
exec python3 -m jointasr.bin.fix_data_dir "$1"
