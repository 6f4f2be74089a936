#!/usr/bin/env bash
# Create the Python environment .venv-<stack> from its lock file, and link .venv to it.
set -euo pipefail

stack=auto     # auto|k2|k2-pypi|torch: software stack. auto: k2 if its index is reachable and it
               # suits the GPU, else k2-pypi if Python 3.10 is found and torch 1.13 suits the GPU,
               # else torch
python=        # PATH: CPython to use; default: found automatically
dev=false      # also install what ./test.sh needs
link=true      # link .venv to the environment
dry_run=false  # only print which stack would be chosen, and why

help_message="Usage: $0 [options]
Install requirements/<stack>.txt into .venv-<stack> and link .venv to it. If run again, it does
nothing for an up-to-date environment, and an existing .venv keeps its stack.
Environment: K2_INDEX, URL or folder of the k2 wheels (default: the one in requirements/k2.txt)."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
command -v python3 > /dev/null || die "there is no python3 on PATH" "install Python 3.10 or newer"
cd "$ROOT"

default_index=$(sed -n 's/^--find-links //p' requirements/k2.txt)
K2_INDEX=${K2_INDEX:-$default_index}

report() { printf 'setup_env: %s\n' "$*"; }

locks() {  # print the lock files of a stack
  echo "requirements/$1.txt"
  [ "$dev" = false ] || echo "requirements/dev-${1/%k2/torch}.txt"  # k2 is torch plus k2
}

interpreter_of() {  # print the Python of an environment, if it exists
  ".venv-$1/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))' 2> /dev/null || true
}

digest() { python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

lock_digests() {  # print the content of jointasr.lock of a finished environment
  cat requirements/torch.txt "requirements/$1.txt" | digest
  [ "$dev" = false ] || cat "requirements/dev-${1/%k2/torch}.txt" | digest
}

up_to_date() {  # also true for an environment with the developers' tools if --dev is false
  local lock=.venv-$1/jointasr.lock
  [ -x ".venv-$1/bin/python" ] && [ -e "$lock" ] || return 1
  [ "$(head -n "$(lock_digests "$1" | wc -l)" "$lock")" = "$(lock_digests "$1")" ]
}

link_to() {
  [ "$link" = true ] || return 0
  if [ -e .venv ] && [ ! -L .venv ]; then
    die "$ROOT/.venv was not created by this script" "move it away, or use --link false"
  fi
  ln -sfn ".venv-$1" .venv
}

find_uv() {
  if command -v uv > /dev/null; then
    echo uv
    return
  fi
  if ! .venv-tools/bin/uv --version > /dev/null 2>&1; then
    report "installing uv into .venv-tools" >&2
    { python3 -m venv --clear .venv-tools &&
      .venv-tools/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt; } >&2 ||
      die "uv could not be installed with pip" "install uv, or Python's venv module, and run again"
  fi
  echo .venv-tools/bin/uv
}

k2_lock() {  # print requirements/k2.txt with the index in use and absolute paths
  local index=${K2_INDEX#file://} line
  if [ -e "$index" ]; then index=$(realpath "$index"); else index=$K2_INDEX; fi
  while IFS= read -r line; do
    case $line in
      "--find-links "*) printf '%s\n' "--find-links $index" ;;
      "-r "*) printf '%s\n' "-r $ROOT/requirements/${line#-r }" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done < requirements/k2.txt
}

install() {  # install STACK PYTHON
  local venv=.venv-$1 uv files site check=--require-hashes
  uv=$(find_uv)
  export UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
  rm -f "$venv/jointasr.lock"
  if [ "$(interpreter_of "$1")" != "$2" ]; then
    "$uv" venv --quiet --clear --python "$2" "$venv"
  fi
  mapfile -t files < <(locks "$1")
  if [ "$1" = k2 ]; then
    k2_lock > "$venv/k2.txt"
    files[0]=$venv/k2.txt
    check=--verify-hashes  # only for files with a hash: k2's index has none
  fi
  "$uv" pip sync --quiet "$check" --python "$venv/bin/python" "${files[@]}" ||
    die "the libraries of stack $1 could not be installed" \
      "read the message of uv above and run again; downloaded files are kept"
  for site in "$venv"/lib/python3*/site-packages; do
    [ ! -d "$site" ] || printf '%s\n' "$ROOT" > "$site/jointasr.pth"  # `import jointasr` anywhere
  done
  printf '#!/bin/sh\nexec "%s" -m jointasr "$@"\n' "$ROOT/$venv/bin/python3" > "$venv/bin/jointasr"
  chmod +x "$venv/bin/jointasr"
  lock_digests "$1" > "$venv/jointasr.lock.tmp"
  mv "$venv/jointasr.lock.tmp" "$venv/jointasr.lock"  # written last: an interrupted installation is not up to date
}

if [ "$dry_run" = false ]; then
  exec 9> .venv-lock  # concurrent runs wait for each other
  flock 9
  if [ "$stack" = auto ] && [ -z "$python" ] && [ -L .venv ] && [ -e .venv ]; then
    stack=$(readlink .venv)
    stack=${stack#.venv-}
    up_to_date "$stack" || report "stack $stack: the stack of .venv, updated to its lock file"
  fi
  if [ "$stack" != auto ] && [ -z "$python" ] && up_to_date "$stack"; then
    link_to "$stack"
    report "stack $stack: up to date"
    exit 0
  fi
  if [ "$stack" != auto ] && [ -z "$python" ]; then
    python=$(interpreter_of "$stack")  # a new lock file does not change the Python
  fi
fi

choice=$(python3 utils/choose_stack.py --stack "$stack" --python "$python" --k2-index "$K2_INDEX") || exit 1
[ "$dry_run" = false ] || exit 0
IFS=$'\t' read -r stack interpreter <<< "$choice"
SECONDS=0
install "$stack" "$interpreter"
link_to "$stack"
report "stack $stack: installed in $SECONDS s"
