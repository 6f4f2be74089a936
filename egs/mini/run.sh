#!/usr/bin/env bash
# The mini recipe, on synthetic corpora: runs ../../run.sh with this recipe and the same options.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here"/../../run.sh --recipe "egs/${here##*/}" "$@"
