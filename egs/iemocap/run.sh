#!/usr/bin/env bash
# The paper's experiments on IEMOCAP: runs ../../run.sh with this recipe and the same options.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here"/../../run.sh --recipe "egs/${here##*/}" "$@"
