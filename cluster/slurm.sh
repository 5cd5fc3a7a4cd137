#!/bin/bash
# A run as a Slurm job: Ray starts on every node of the job, the run on the first, and all of it ends together.
#
#   sbatch cluster/slurm.sh run flights.yaml
#   sbatch cluster/slurm.sh resume flight_delay-0c61a3b7-1      # after the time limit, a lost node, scancel
#
# The words after the script are those of `ray-pipeline`; ON says which cluster file (default: shared-folder.yaml beside this script).
# The job's exit code is the run's. Two minutes before the limit the run is told: it closes its journal and ends with 130.
#SBATCH --job-name=ray-pipeline
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=4G
#SBATCH --time=06:00:00
#SBATCH --signal=TERM@120
set -euo pipefail

if [ $# -eq 0 ]; then
  echo "usage: sbatch cluster/slurm.sh run SPEC | resume RUN" >&2
  exit 2
fi

read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=$(srun --nodes=1 --ntasks=1 --nodelist="$first" hostname --ip-address | cut -d ' ' -f 1)
port=$((20000 + SLURM_JOB_ID % 10000))                      # two jobs may share a node

# Only who has the job's own environment may talk to its Ray.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0

# Slurm copies the script before it starts it, so that `$0` is not where this file lies.
on=${ON:-$SLURM_SUBMIT_DIR/cluster/shared-folder.yaml}
exec srun --kill-on-bad-exit=0 ray symmetric-run --address "$address:$port" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_PER_TASK" \
  -- ray-pipeline "$@" --on "$on" --json
