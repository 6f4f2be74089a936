#!/usr/bin/env bash
# The tests: environments, lint, unit tests on stacks k2-pypi and torch, what trains on k2-pypi.
set -euo pipefail

help_message='usage: ./test.sh [--fast]
  Makes the environments .venv-k2-pypi and .venv-torch, then runs lint (ruff, shellcheck, mypy), the
  unit tests on both, and on k2-pypi those that train (the mini recipe end to end included).
  --fast: without the tests that train (marker slow); minutes instead of half an hour.'
fast=false
if [ "$*" = --fast ]; then
  fast=true
elif [ $# -ne 0 ]; then
  printf '%s\n' "$help_message"
  [ "$*" = --help ]
  exit
fi
cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/log.sh

SECONDS=0
part_began=0
part() {  # end the part before, begin a new one
  if [ -n "${part_title:-}" ]; then
    printf -- '--- %s: passed, %d s\n' "$part_title" $((SECONDS - part_began))
  fi
  part_title=$1
  part_began=$SECONDS
  printf '\n=== %s\n' "$1"
}

in_stack() {  # in_stack STACK COMMAND...; the environment of every script, as path.sh sets it
  JOINTASR_STACK=$1 bash -c '. ./path.sh && shift && "$@"' in_stack "$@"
}

part "environments"
if ! utils/setup_env.sh --stack k2-pypi --dev true --link false; then
  die "the tests need stack k2-pypi, and it could not be made: see above" \
    "if Python 3.10 is missing: pyenv install 3.10, or uv python install 3.10; then run again"
fi
utils/setup_env.sh --stack torch --dev true --link false

part "ruff"
in_stack k2-pypi ruff check .

part "shellcheck"
git ls-files -z --cached --others --exclude-standard '*.sh' '.ci/run' |
  in_stack k2-pypi xargs -0 shellcheck

part "mypy"
in_stack k2-pypi mypy

export OMP_NUM_THREADS=1
trap 'if [ -n "${other:-}" ]; then kill -- "-$other" 2>/dev/null || true; fi' EXIT
beside() {  # beside STACK ARGUMENTS...: tests on the other core, until `tests` has run its own
  other_log=$(mktemp)
  set -m  # a process group of its own, to be ended as a whole
  in_stack "$1" python3 -m pytest -x -q "${@:2}" >"$other_log" 2>&1 &
  other=$!
  set +m
}

tests() {  # tests STACK ARGUMENTS...
  if ! in_stack "$1" python3 -m pytest -x -q "${@:2}"; then die "a test failed on stack $1" "see above"; fi
  if ! wait "$other"; then
    cat "$other_log"
    die "a test failed of those run beside" "see above"
  fi
  other=
  cat "$other_log"
  rm "$other_log"
}

part "unit tests on k2-pypi and, on the other core, on torch"
beside torch --durations=10 -m "not slow"
tests k2-pypi --durations=10 -m "not slow"

if [ "$fast" = false ]; then
  part "tests that train, on k2-pypi: the mini recipe and, on the other core, the others"
  beside k2-pypi --durations=15 -m slow --ignore tests/test_mini.py
  tests k2-pypi --durations=15 tests/test_mini.py
fi
