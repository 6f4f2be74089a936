#!/usr/bin/env bash
# Start a module as several processes that train together, on this machine or in a job of Slurm.
set -euo pipefail

nodes=1  # N: number of machines
ngpu=1   # N: processes per machine, one per GPU

help_message="Usage: $0 [options] -- <module> <argument> ...
Each process gets --nodes and --ngpu as further arguments, and checks the number of processes."
ROOT=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$ROOT"/utils/parse_options.sh
. "$ROOT"/path.sh

if [ $# -eq 0 ]; then die "no module given" "see $0 --help"; fi

program=("$@" --nodes "$nodes" --ngpu "$ngpu")
launch=(python3 -m torch.distributed.run --nproc_per_node "$ngpu" --max_restarts 0)
if [ "$nodes" -eq 1 ]; then
  exec "${launch[@]}" --standalone -m "${program[@]}"
fi
if [ "${SLURM_JOB_NUM_NODES:-0}" -ne "$nodes" ]; then
  die "$nodes machines were requested, ${SLURM_JOB_NUM_NODES:-none} are allocated" \
    "train on several machines with cmd_backend=slurm"
fi
# This script runs on the first machine; the job id gives a port that is probably free.
port=$((20000 + SLURM_JOB_ID % 20000))
exec srun --nodes "$nodes" --ntasks "$nodes" --ntasks-per-node 1 --kill-on-bad-exit=1 \
  "${launch[@]}" --nnodes "$nodes" --rdzv_backend c10d --rdzv_id "$SLURM_JOB_ID" \
  --rdzv_endpoint "$(uname -n):$port" -m "${program[@]}"
