#!/usr/bin/env bash
# The paper on IEMOCAP: as ./run.sh --recipe egs/iemocap in the project's root, same options.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")"/../../run.sh --recipe egs/iemocap "$@"
