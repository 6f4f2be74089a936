#!/usr/bin/env bash
# Stage 0: check the machine, the libraries, the corpora and the models.
set -euo pipefail

iemocap=-            # DIR: IEMOCAP; - skips the check
musan=-              # DIR: MUSAN; - skips the check
allow_partial=false  # accept a corpus without some of its sessions or noise types
encoder=             # MODEL: pretrained encoders, folders or hub ids, one per line
bert=                # MODEL: pretrained text encoders, folders or hub ids, one per line
ctc=k2               # k2|torch: CTC engine
disk=3               # GB: free space needed in the current folder
self_test=true       # run the engine's self-test (seconds)

help_message="Usage: $0 [options]
Check Python, libraries, CTC engine, GPUs and driver, disk, job runner, corpora and models, in the
folder of a recipe or anywhere. Each line is ok or FAIL, with what fixes it; exit with code 1 if any
check fails. The output ends with a block for bug reports."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
. "$ROOT"/path.sh
. "$ROOT"/cmd.sh
exec python3 -m jointasr.bin.doctor --iemocap "$iemocap" --musan "$musan" \
  --allow-partial "$allow_partial" --encoder "$encoder" --bert "$bert" \
  --ctc "${ctc:-k2}" --disk "$disk" --backend "$cmd_backend" --self-test "$self_test"
