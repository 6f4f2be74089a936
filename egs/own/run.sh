#!/usr/bin/env bash
# A recipe for a custom corpus: runs ../../run.sh with this recipe and the same options.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here"/../../run.sh --recipe "egs/${here##*/}" "$@"
