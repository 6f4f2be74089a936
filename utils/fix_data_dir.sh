#!/usr/bin/env bash
# Mend a Kaldi data dir: sort its tables and drop what is not in all of them.
set -euo pipefail

help_message='usage: utils/fix_data_dir.sh <data-dir>
  Sorts the tables (LC_ALL=C), drops utterances that some table lacks and says which and why; the old
  tables are kept in <data-dir>/.backup.'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 1 ] || die "one data dir expected" "see utils/fix_data_dir.sh --help"
. "$ROOT"/path.sh
python3 -m jointasr.bin.fix_data_dir "$1"
