#!/usr/bin/env bash
# The demo page, on this machine only: utils/demo.sh [options] <packed model> [<another>]
set -euo pipefail
# shellcheck source=path.sh
. "$(dirname "${BASH_SOURCE[0]}")"/../path.sh
exec python3 -m jointasr.bin.demo "$@"
