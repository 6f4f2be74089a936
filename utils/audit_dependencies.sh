#!/usr/bin/env bash
# Check the locked libraries for known vulnerabilities in the OSV database.
set -euo pipefail

stacks="k2-pypi torch"  # "NAME ...": stacks to check; k2 is torch plus k2 itself

help_message="Usage: $0 [options]
Accepted vulnerabilities are listed in requirements/advisories.txt, each with a reason. Exit with
code 1 if there is any other."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh

[ $# -eq 0 ] || die "unexpected argument $1" "see $0 --help"
cd "$ROOT"

read -ra names <<<"$stacks"
ignored=()
while read -r id reason; do
  case $id in '' | '#'*) continue ;; esac
  [ -n "$reason" ] || die "requirements/advisories.txt: $id has no reason" "add why it is accepted"
  ignored+=(--ignore-vuln "$id")
done <requirements/advisories.txt
audit=(.venv-tools/bin/uv --quiet tool run --from pip-audit==2.10.1 pip-audit)
if [ ! -x "${audit[0]}" ]; then die "no ${audit[0]}" "run utils/setup_env.sh first"; fi
for stack in "${names[@]}"; do
  output=$(mktemp)
  if "${audit[@]}" --vulnerability-service osv --no-deps --disable-pip --progress-spinner off \
    --desc off "${ignored[@]}" -r "requirements/$stack.txt" >"$output" 2>&1; then
    log "$stack: no vulnerability that is not in requirements/advisories.txt"
  elif grep -q "ConnectionError\|NameResolutionError\|error sending request" "$output"; then
    log "$stack: NOT audited, the database (api.osv.dev) or pip-audit is unreachable"
  else
    cat "$output"
    die "$stack: vulnerabilities found" \
      "raise the version in requirements/*.in and run utils/lock_env.sh, or add them to
  requirements/advisories.txt with the reason"
  fi
  rm "$output"
done
