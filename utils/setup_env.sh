#!/usr/bin/env bash
# Make the Python environment .venv-<stack> from its lock file, and link .venv to it.
set -euo pipefail

stack=auto
dev=false
link=true
python=
dry_run=false
help_message='usage: utils/setup_env.sh [options]
  Makes .venv-<stack> from requirements/<stack>.txt and links .venv to it. Run again any time:
  what is up to date is left alone, an existing .venv keeps its stack.
  --stack auto|k2|k2-pypi|torch   auto: k2 if its index answers and suits the card, else k2-pypi if
                                  there is a Python 3.10 and the card suits torch 1.13, else torch
  --python PATH                   the CPython to build on (found by itself otherwise)
  --dev true                      also what ./test.sh needs
  --link false                    leave .venv alone
  --dry-run true                  say which stack would be chosen, and why; make nothing
  Environment: K2_INDEX, the URL or folder of k2'"'"'s wheels (default: the one in requirements/k2.txt).'
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/utils/log.sh

[ $# -eq 0 ] || die "no arguments expected, got: $*" "see utils/setup_env.sh --help"
command -v python3 > /dev/null || die "there is no python3 on PATH" "install Python 3.10 or newer"
cd "$ROOT"

default_index=$(sed -n 's/^--find-links //p' requirements/k2.txt)
K2_INDEX=${K2_INDEX:-$default_index}

say() { printf 'setup_env: %s\n' "$*"; }

locks() {  # the lock files of a stack, as arguments of uv
  echo "requirements/$1.txt"
  [ "$dev" = false ] || echo "requirements/dev-${1/%k2/torch}.txt"  # k2 is torch and k2
}

interpreter_of() {  # the Python behind an environment, or nothing
  ".venv-$1/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))' 2> /dev/null || true
}

digest() { python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

wanted() {  # what the finished environment of a stack says of itself in jointasr.lock
  cat requirements/torch.txt "requirements/$1.txt" | digest
  [ "$dev" = false ] || cat "requirements/dev-${1/%k2/torch}.txt" | digest
}

up_to_date() {  # one with the developers' tools serves users too
  local lock=.venv-$1/jointasr.lock
  [ -x ".venv-$1/bin/python" ] && [ -e "$lock" ] || return 1
  [ "$(head -n "$(wanted "$1" | wc -l)" "$lock")" = "$(wanted "$1")" ]
}

link_to() {
  [ "$link" = true ] || return 0
  if [ -e .venv ] && [ ! -L .venv ]; then
    die "$ROOT/.venv was not made by this script" "move it away, or use --link false"
  fi
  ln -sfn ".venv-$1" .venv
}

find_uv() {
  if command -v uv > /dev/null; then
    echo uv
    return
  fi
  if ! .venv-tools/bin/uv --version > /dev/null 2>&1; then
    say "installing uv into .venv-tools" >&2
    { python3 -m venv --clear .venv-tools &&
      .venv-tools/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt; } >&2 ||
      die "uv could not be installed with pip" "install uv, or Python's venv module, and run again"
  fi
  echo .venv-tools/bin/uv
}

k2_lock() {  # requirements/k2.txt with the index in use, made where relative paths still hold
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
    check=--verify-hashes  # where there is one: k2's index has none
  fi
  "$uv" pip sync --quiet "$check" --python "$venv/bin/python" "${files[@]}" ||
    die "the libraries of stack $1 could not be installed" \
      "read uv's message above and run again; what was downloaded is kept"
  for site in "$venv"/lib/python3*/site-packages; do
    [ ! -d "$site" ] || printf '%s\n' "$ROOT" > "$site/jointasr.pth"  # `import jointasr` anywhere
  done
  printf '#!/bin/sh\nexec "%s" -m jointasr "$@"\n' "$ROOT/$venv/bin/python3" > "$venv/bin/jointasr"
  chmod +x "$venv/bin/jointasr"
  wanted "$1" > "$venv/jointasr.lock.tmp"
  mv "$venv/jointasr.lock.tmp" "$venv/jointasr.lock"  # last: an interrupted one is not up to date
}

if [ "$dry_run" = false ]; then
  exec 9> .venv-lock  # two runs at once: the second waits and finds it done
  flock 9
  if [ "$stack" = auto ] && [ -z "$python" ] && [ -L .venv ] && [ -e .venv ]; then
    stack=$(readlink .venv)
    stack=${stack#.venv-}
    up_to_date "$stack" || say "stack $stack: kept from .venv, brought up to its lock file"
  fi
  if [ "$stack" != auto ] && [ -z "$python" ] && up_to_date "$stack"; then
    link_to "$stack"
    say "stack $stack: up to date"
    exit 0
  fi
  if [ "$stack" != auto ] && [ -z "$python" ]; then
    python=$(interpreter_of "$stack")  # a new lock is no reason for another Python
  fi
fi

choice=$(python3 utils/choose_stack.py --stack "$stack" --python "$python" --k2-index "$K2_INDEX") || exit 1
[ "$dry_run" = false ] || exit 0
IFS=$'\t' read -r stack interpreter <<< "$choice"
SECONDS=0
install "$stack" "$interpreter"
link_to "$stack"
say "stack $stack: installed in $SECONDS s"
