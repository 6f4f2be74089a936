#!/usr/bin/env bash
# Your own corpus: as ./run.sh --recipe egs/own in the project's root, same options.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")"/../../run.sh --recipe egs/own "$@"
