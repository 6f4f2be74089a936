# shellcheck shell=bash
# How scripts speak; to be sourced after `set -euo pipefail`.
#
#   log TEXT...           a line with the time
#   die WHAT NEXT         an error and what to do about it; ends the script
#   begin_stage N TITLE   a heading; from then on the last line is "finished" or "FAILED at stage N"
#
# When a command fails, its file, line and stage are said once, with what to do next.

log() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

die() {
  printf 'error: %s: %s\n' "${0##*/}" "$1" >&2
  [ -z "${2:-}" ] || printf '  next: %s\n' "$2" >&2
  _log_said=true
  exit 1
}

begin_stage() {
  _log_stage=$1
  printf '\n'
  log "stage $1: ${*:2}"
}

_log_failed() {  # keeps the place of the last failure; a failure in $(...) is seen by its caller
  _log_place="${BASH_SOURCE[1]}: line $1"
  _log_command=$BASH_COMMAND
}

_log_end() {
  local code=$1
  if [ "$code" -ne 0 ] && [ -z "${_log_said:-}" ] && [ -n "${_log_place:-}" ]; then
    printf 'error: %s%s: exit code %d: %s\n' "$_log_place" \
      "${_log_stage:+ (stage $_log_stage)}" "$code" "$_log_command" >&2
    if [ -n "${_log_stage:-}" ]; then
      printf '  next: read the first error above and mend it; then run the same command again%s\n' \
        " (finished work is skipped; --stage $_log_stage starts here)" >&2
    fi
  fi
  if [ -n "${_log_stage:-}" ]; then
    if [ "$code" -eq 0 ]; then printf 'finished\n'; else printf 'FAILED at stage %s\n' "$_log_stage"; fi
  fi
}

set -E
trap '_log_failed "$LINENO"' ERR
trap '_log_end "$?"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
