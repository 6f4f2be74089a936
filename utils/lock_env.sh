#!/usr/bin/env bash
# Compile requirements/*.txt from requirements/*.in (for developers; needs uv on PATH).
set -euo pipefail

if [ $# -gt 0 ]; then
  cat <<'EOF'
usage: utils/lock_env.sh
  Writes requirements/<stack>.txt and requirements/dev-<stack>.txt, every file by its hash.
  Versions already in the locks are kept where they still fit; delete a lock to renew it.
EOF
  [ "$*" = --help ]
  exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")/../requirements"

compile() {  # compile IN OUT [uv options]
  local in=$1 out=$2
  shift 2
  uv pip compile --quiet --no-annotate --generate-hashes \
    --custom-compile-command utils/lock_env.sh "$@" "$in" -o "$out"
}

# Python 3.10 only, Linux only: k2 1.23.4 has nothing else.
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

# The k2 stack is the torch stack and k2.
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

# What stack torch lacks of it, and nothing else.
compile peers.in peers.txt --universal --python-version 3.10 --no-deps -c torch.txt

compile uv.in uv.txt --universal --python-version 3.10
