# shellcheck shell=bash
# Where jobs run; sourced after path.sh, which has utils/ in PATH. `local` is this machine; see
# utils/run.py --help.
export cmd_backend=local

export train_cmd="run.py --gpu 1"    # one model each
export decode_cmd="run.py --gpu 1"   # one model, all test sets
export cpu_cmd="run.py"              # data, archives, scores
