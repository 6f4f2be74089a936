# shellcheck shell=bash
# Where jobs run; to be sourced after path.sh, which adds utils/ to PATH.
#   local  this machine: utils/run.py --help
#   slurm  a cluster: utils/slurm.py --help; options of sbatch are in conf/slurm.conf
export cmd_backend=${cmd_backend:-local}

case $cmd_backend in
  local) _runner=run.py _keep= ;;
  slurm) _runner=slurm.py _keep=" --keep-finished" ;;  # a killed run finds its array by the table
  *) die "unknown cmd_backend=$cmd_backend" "set it to local or slurm" ;;
esac
export train_cmd="$_runner"            # steps/train.sh adds --gpu and --nodes
export decode_cmd="$_runner --gpu 1"   # one model, all test scenarios
export cpu_cmd="$_runner"              # data, archives, scores
export table_cmd="python3 -m jointasr.bin.jobs$_keep"
