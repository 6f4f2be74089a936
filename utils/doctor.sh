#!/usr/bin/env bash
# Is everything there? Stage 0 of every recipe; also to be called alone.
set -euo pipefail

iemocap=-
musan=-
allow_partial=false
encoder=
bert=
ctc=k2
disk=3
self_test=true
help_message='usage: utils/doctor.sh [options]      (in the folder of a recipe, or anywhere)
  Checks Python, libraries, CTC engine, GPUs and driver, disk, job runner, corpora and models. Each
  line is ok, or FAIL with what mends it; exit code 1 if there is a FAIL. Ends with a block for bug
  reports.
  --iemocap DIR --musan DIR       folders of the corpora (not checked unless given)
  --allow-partial true            take a corpus of which sessions or types are missing
  --encoder X --bert X            folders or hub ids of the pretrained models, one a line
  --ctc k2|torch                  the CTC engine wanted
  --disk GB                       free space wanted in the current folder
  --self-test false               leave out the self-test of the engine (seconds)'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 0 ] || die "no arguments expected, got: $*" "see utils/doctor.sh --help"
. "$ROOT"/path.sh
. "$ROOT"/cmd.sh
exec python3 -m jointasr.bin.doctor --iemocap "$iemocap" --musan "$musan" \
  --allow-partial "$allow_partial" --encoder "$encoder" --bert "$bert" \
  --ctc "${ctc:-k2}" --disk "$disk" --backend "$cmd_backend" --self-test "$self_test"
