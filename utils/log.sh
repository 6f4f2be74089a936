# shellcheck shell=bash
# Messages of scripts; to be sourced after `set -euo pipefail` (utils/parse_options.sh does it).
#
#   log TEXT...           print a line with the time
#   die WHAT NEXT         print an error and what to do about it, then exit with code 1
#   begin_stage N TITLE   print a heading; the last line is then "finished" or "FAILED at stage N"
#
# When a command fails, its file, line and stage are printed once, with what to do next.

log() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

die() {
  printf 'error: %s: %s\n' "${0##*/}" "$1" >&2
  [ -z "${2:-}" ] || printf '  next: %s\n' "$2" >&2
  _log_reported=true
  exit 1
}

begin_stage() {
  _log_stage=$1
  printf '\n'
  log "stage $1: ${*:2}"
}

_log_on_error() {  # remember the last failure; a failure in $(...) is recorded by its caller
  _log_location="${BASH_SOURCE[1]}: line $1"
  _log_command=$BASH_COMMAND
}

_log_on_exit() {
  local code=$1
  if [ "$code" -ne 0 ] && [ -z "${_log_reported:-}" ] && [ -n "${_log_location:-}" ]; then
    printf 'error: %s%s: exit code %d: %s\n' "$_log_location" \
      "${_log_stage:+ (stage $_log_stage)}" "$code" "$_log_command" >&2
    if [ -n "${_log_stage:-}" ]; then
      printf '  next: fix the first error above and run the same command again%s\n' \
        " (finished work is skipped; --stage $_log_stage starts here)" >&2
    fi
  fi
  if [ -n "${_log_stage:-}" ]; then
    if [ "$code" -eq 0 ]; then printf 'finished\n'; else printf 'FAILED at stage %s\n' "$_log_stage"; fi
  fi
}

set -E
trap '_log_on_error "$LINENO"' ERR
trap '_log_on_exit "$?"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
