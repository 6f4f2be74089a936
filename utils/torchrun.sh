#!/usr/bin/env bash
# Start a module as several processes that train together: on this machine, or on those of a job of
# Slurm's. Each gets --nodes and --ngpu, and checks that they are as many.
set -euo pipefail

nodes=1  # machines
ngpu=1   # processes on each, one for each card

help_message="usage: utils/torchrun.sh [--nodes N] [--ngpu N] -- <module> <arguments>..."
cd "$(dirname "${BASH_SOURCE[0]}")/.." && ROOT=$PWD && cd "$OLDPWD"
. "$ROOT"/utils/log.sh
. "$ROOT"/utils/parse_options.sh
if [ $# -eq 0 ]; then die "no module given" "see $0 --help"; fi

program=("$@" --nodes "$nodes" --ngpu "$ngpu")
launch=(python3 -m torch.distributed.run --nproc_per_node "$ngpu" --max_restarts 0)
if [ "$nodes" -eq 1 ]; then
  exec "${launch[@]}" --standalone -m "${program[@]}"
fi
if [ "${SLURM_JOB_NUM_NODES:-0}" -ne "$nodes" ]; then
  die "$nodes machines were asked for, ${SLURM_JOB_NUM_NODES:-none} were allotted" \
    "train on several machines with cmd_backend=slurm"
fi
# This runs on the first of them; the job's number makes a port that is likely to be free.
port=$((20000 + SLURM_JOB_ID % 20000))
exec srun --nodes "$nodes" --ntasks "$nodes" --ntasks-per-node 1 --kill-on-bad-exit=1 \
  "${launch[@]}" --nnodes "$nodes" --rdzv_backend c10d --rdzv_id "$SLURM_JOB_ID" \
  --rdzv_endpoint "$(uname -n):$port" -m "${program[@]}"
