#!/usr/bin/env bash
# A recipe for a custom corpus: same as ./run.sh --recipe <this folder> in the project's root, with the same options.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here"/../../run.sh --recipe "egs/${here##*/}" "$@"
