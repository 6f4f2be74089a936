# shellcheck shell=bash
# The environment of every script; sourced, from any folder. Makes the Python environment when it is
# missing. Which one: $JOINTASR_VENV (a folder of your own), else .venv-$JOINTASR_STACK, else .venv.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export ROOT

_venv=${JOINTASR_VENV:-$ROOT/.venv${JOINTASR_STACK:+-$JOINTASR_STACK}}
if [ -z "${JOINTASR_VENV:-}" ] && [ ! -e "$_venv/jointasr.lock" ]; then
  if [ -n "${JOINTASR_STACK:-}" ]; then
    "$ROOT"/utils/setup_env.sh --stack "$JOINTASR_STACK" --link false >&2 || return 1
  else
    "$ROOT"/utils/setup_env.sh >&2 || return 1
  fi
fi
if [ ! -x "$_venv/bin/python3" ]; then
  echo "error: path.sh: $_venv has no bin/python3; give JOINTASR_VENV a Python environment" >&2
  return 1
fi
case $PATH in
  "$_venv/bin:$ROOT/utils":*) ;;
  *) PATH=$_venv/bin:$ROOT/utils:$PATH ;;
esac
unset _venv

export PATH
export PYTHONPATH=$ROOT
export PYTHONUTF8=1
export LC_ALL=C                                # one sort order for Kaldi's tables
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}   # jobs run side by side: more threads wait for each other
