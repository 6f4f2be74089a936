#!/usr/bin/env bash
# Ask the OSV database for known weaknesses of the locked libraries. Accepted ones stand, with the
# reason, in requirements/advisories.txt; any other one fails.
set -euo pipefail

stacks="k2-pypi torch"  # locks to audit; k2's is torch's and k2 itself

help_message="usage: utils/audit_dependencies.sh [--stacks \"k2-pypi torch\"]"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. utils/log.sh
. utils/parse_options.sh

read -ra names <<<"$stacks"
ignored=()
while read -r id reason; do
  case $id in '' | '#'*) continue ;; esac
  [ -n "$reason" ] || die "requirements/advisories.txt: $id has no reason" "write why it is accepted"
  ignored+=(--ignore-vuln "$id")
done <requirements/advisories.txt
audit=(.venv-tools/bin/uv --quiet tool run --from pip-audit==2.10.1 pip-audit)
if [ ! -x "${audit[0]}" ]; then die "no ${audit[0]}" "run utils/setup_env.sh first"; fi
for stack in "${names[@]}"; do
  said=$(mktemp)
  if "${audit[@]}" --vulnerability-service osv --no-deps --disable-pip --progress-spinner off \
    --desc off "${ignored[@]}" -r "requirements/$stack.txt" >"$said" 2>&1; then
    log "$stack: no weakness that is not in requirements/advisories.txt"
  elif grep -q "ConnectionError\|NameResolutionError\|error sending request" "$said"; then
    log "$stack: NOT audited, the database (api.osv.dev) or pip-audit cannot be reached"
  else
    cat "$said"
    die "$stack: weaknesses found" \
      "raise the version in requirements/*.in and run utils/lock_env.sh, or write them into
  requirements/advisories.txt, with the reason"
  fi
  rm "$said"
done
