#!/usr/bin/env bash
# Your own corpus: as ./run.sh --recipe <this folder> in the project's root, same options.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here"/../../run.sh --recipe "egs/$(basename "$here")" "$@"
