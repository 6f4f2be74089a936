# shellcheck shell=bash
# The environment of all scripts; to be sourced, from any folder. Creates the Python environment if it
# is missing. It is $JOINTASR_VENV (a folder of your choice), else .venv-$JOINTASR_STACK, else .venv.

ROOT=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
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
  echo "error: path.sh: $_venv has no bin/python3; set JOINTASR_VENV to a Python environment" >&2
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
export LC_ALL=C                                # the sort order of Kaldi's tables
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}   # jobs run in parallel; more threads would compete
