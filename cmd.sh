# shellcheck shell=bash
# Where jobs run; sourced after path.sh, which has utils/ in PATH.
#   local  this machine: utils/run.py --help
#   slurm  a cluster: utils/slurm.py --help; what sbatch is told is in conf/slurm.conf
export cmd_backend=${cmd_backend:-local}

case $cmd_backend in
  local) _runner=run.py ;;
  slurm) _runner=slurm.py ;;
  *) die "cmd_backend=$cmd_backend" "it is local or slurm" ;;
esac
export train_cmd="$_runner"            # steps/train.sh adds --gpu and --nodes
export decode_cmd="$_runner --gpu 1"   # one model, all test sets
export cpu_cmd="$_runner"              # data, archives, scores
