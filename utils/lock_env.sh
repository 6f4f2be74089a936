#!/usr/bin/env bash
# Compile requirements/*.txt from requirements/*.in with uv (for developers).
set -euo pipefail

help_message="Usage: $0
Write requirements/<stack>.txt and requirements/dev-<stack>.txt, with a hash for each file. Versions
in existing locks do not change where possible; delete a lock to upgrade all its packages."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
cd "$ROOT"/requirements

compile() {  # compile IN OUT [uv options]
  local in=$1 out=$2
  shift 2
  uv pip compile --quiet --no-annotate --generate-hashes \
    --custom-compile-command utils/lock_env.sh "$@" "$in" -o "$out"
}

# k2 1.23.4 exists for Linux only, and torch 1.13.1 needs Python 3.10.
compile k2-pypi.in k2-pypi.txt --python-version 3.10 --python-platform x86_64-manylinux_2_28
cat >> k2-pypi.txt <<'EOF'
# k2's files say "py3.10-none-any" and the like, tags by which installers take the wrong one;
# this hash is the file for Python 3.10. It was built for torch 1.13.1 and CUDA 11.7.
k2==1.23.4 \
    --hash=sha256:1404589732fdb7f6f5bf62297a20dd73318b7b4f2e10dd52dc3d5b6669688a4c
EOF
compile dev.in dev-k2-pypi.txt --python-version 3.10 --python-platform x86_64-manylinux_2_28 \
  -c k2-pypi.txt

compile torch.in torch.txt --universal --python-version 3.10
compile dev.in dev-torch.txt --universal --python-version 3.10 -c torch.txt

# Stack k2 is stack torch plus k2.
compile k2.in k2.tmp --universal --python-version 3.10 -c torch.txt
cat > k2.txt <<'EOF'
# This file is written by utils/lock_env.sh.
# k2 is locked by version only: its index publishes no hashes, and the file differs by Python version.
# Everything else, here and in torch.txt, is locked by hash.
--find-links https://k2-fsa.github.io/k2/cuda.html
k2==1.24.4.dev20260423+cuda13.0.torch2.11.0
-r torch.txt
EOF
sed '/^#/d' k2.tmp >> k2.txt
rm k2.tmp

# Only the packages that stack torch does not have.
compile peers.in peers.txt --universal --python-version 3.10 --no-deps -c torch.txt

compile uv.in uv.txt --universal --python-version 3.10
