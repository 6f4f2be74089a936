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
run() {  # run STACK TITLE ARGUMENTS...
  local began=$SECONDS
  printf '\n=== %s, on %s\n' "$2" "$1"
  in_stack "$1" python3 -m pytest -x -q --durations=15 "${@:3}"
  printf -- '--- %s, on %s: passed, %d s\n' "$2" "$1" $((SECONDS - began))
}

on_k2() { run k2-pypi "unit tests" -m "not slow"; }
on_torch() { run torch "unit tests" -m "not slow and not once"; }

first_lane() {
  on_k2
  if [ "$fast" = true ]; then return; fi
  on_torch
  run k2-pypi "other tests that train" -m slow --ignore tests/recipe/test_mini.py
}

second_lane() {  # on the other core; the mini recipe takes as long as all the rest
  if [ "$fast" = true ]; then on_torch; else run k2-pypi "the mini recipe" tests/recipe/test_mini.py; fi
}

part "tests, in two lanes"
other_log=$(mktemp)
set -m  # process groups of their own, to be ended as a whole
first_lane &
first=$!
second_lane >"$other_log" 2>&1 &
second=$!
set +m
trap 'kill -- "-$first" "-$second" 2>/dev/null || true; rm -f "$other_log"' EXIT
failed=false
wait -n || failed=true
[ "$failed" = true ] || wait -n || failed=true
cat "$other_log"
if [ "$failed" = true ]; then die "a test failed" "see above"; fi
part "all"
