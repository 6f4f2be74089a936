#!/usr/bin/env bash
# The mini recipe: as ./run.sh --recipe egs/mini in the project's root, same options.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")"/../../run.sh --recipe egs/mini "$@"
