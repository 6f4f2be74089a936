# shellcheck shell=bash
# Locks of outputs that several programs of one script write; to be sourced after log.sh.
#
#   lock_output PATH    wait until no other run works on PATH, and lock it until this script and all
#                       processes it started have ended. jointasr/utils/locks.py uses the same files.

lock_output() {
  local fd code file
  file=$(dirname "$1")/.$(basename "$1").lock
  mkdir -p "$(dirname "$1")"
  exec {fd}<>"$file"  # stays open and is inherited by child processes: the lock
  until flock --nonblock --conflict-exit-code 75 "$fd"; do
    code=$?
    if [ "$code" -ne 75 ]; then
      die "$1: its file system has no locks" "mount it with locks, or work in a folder elsewhere"
    fi
    log "$1: locked by $(cat "$file"); waiting" >&2
    flock --wait 60 "$fd" && break
  done
  printf 'process %s on %s (%s)\n' "$$" "$(uname -n)" "$0" >"$file"
}
