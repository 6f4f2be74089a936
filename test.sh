#!/usr/bin/env bash
# Run all checks and tests: on stack k2-pypi, and what depends on the stack on torch as well.
set -euo pipefail

help_message='usage: ./test.sh [--fast | --full]
  Makes the environments .venv-k2-pypi and .venv-torch, then runs ruff, shellcheck and mypy, the unit
  tests, the recipe tests and the mini recipe. Unit tests that depend on the versions of torch,
  transformers, lhotse or k2 (mark "stack") are repeated on stack torch.
  --fast  skip the tests that train (mark "slow")
  --full  also run the tests marked "full", the mini recipe with both its folds, more kills and
          resumes; run it before a release'
mode=$*
case $mode in
  "" | --fast | --full) ;;
  --help) printf '%s\n' "$help_message" && exit ;;
  *) printf '%s\n' "$help_message" >&2 && exit 1 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/log.sh
SECONDS=0
results=$(mktemp -d)
lanes=()
finish() {  # end the lanes with all their children, list the results
  local lane
  for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || true; done
  printf '\n=== results\n'
  cat "$results/all" || true
  rm -rf "$results"
}
trap 'code=$?; finish; _log_on_exit "$code"' EXIT

in_stack() {  # in_stack STACK COMMAND...: run a command in the environment that path.sh sets
  JOINTASR_STACK=$1 bash -c '. ./path.sh && shift && "$@"' in_stack "$@"
}

part() {  # part TITLE COMMAND...: run a part; print and record its result and its seconds
  local began=$SECONDS result=passed line
  printf '\n=== %s\n' "$1"
  "${@:2}" || result=FAILED
  line="$result, $((SECONDS - began)) s: $1"
  printf -- '--- %s\n' "$line"
  printf '%s\n' "$line" >>"$results/all"
  [ $result = passed ]
}

tests() {  # tests STACK TITLE ARGUMENTS...: a part made of tests
  local full=()
  if [ "$mode" = --full ]; then full=(--full); fi
  part "$2, stack $1" in_stack "$1" python3 -m pytest -x -q --durations=15 "${full[@]}" "${@:3}"
}

environments() {
  if ! utils/setup_env.sh --stack k2-pypi --dev true --link false; then
    die "the tests need stack k2-pypi, which could not be installed: see above" \
      "if Python 3.10 is missing: pyenv install 3.10, or uv python install 3.10; then run again"
  fi
  utils/setup_env.sh --stack torch --dev true --link false
}

shell_scripts() {
  git ls-files -z --cached --others --exclude-standard '*.sh' '.ci/run' |
    in_stack k2-pypi xargs -0 shellcheck
}

on_k2() { tests k2-pypi "unit tests" -m "not slow"; }
on_torch() { tests torch "unit tests that depend on the stack" -m "stack and not slow"; }

first_lane() {
  on_k2
  if [ "$mode" = --fast ]; then return; fi
  on_torch
  tests k2-pypi "slow tests" -m slow --ignore tests/recipe/test_mini.py
}

second_lane() {
  if [ "$mode" = --fast ]; then on_torch; else tests k2-pypi "mini recipe" tests/recipe/test_mini.py; fi
}

part "environments" environments
part "ruff check" in_stack k2-pypi ruff check .
part "ruff format" in_stack k2-pypi ruff format --check .
part "shellcheck" shell_scripts
part "mypy" in_stack k2-pypi mypy

export OMP_NUM_THREADS=1
set -m  # a process group for each lane, to end it with all its children
first_lane &
lanes=("$!")
second_lane >"$results/second_lane" 2>&1 &
lanes+=("$!")
set +m
failed=false
wait -n || failed=true
[ "$failed" = true ] || wait -n || failed=true
cat "$results/second_lane"
if [ "$failed" = true ]; then die "a test failed" "read the first failure above"; fi
printf 'all passed in %d min\n' $(((SECONDS + 59) / 60))
