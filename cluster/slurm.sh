#!/bin/bash
# A run as a Slurm job: Ray starts on every node of the job, the run on the first node, and all end together.
#
#   sbatch cluster/slurm.sh run flights.yaml
#   sbatch cluster/slurm.sh resume flight_delay-0c61a3b7-1      # after the time limit, a lost node, scancel
#
# The arguments of the script are those of `ray-pipeline`. ON names the cluster file (default: cluster/shared-folder.yaml).
# The job's exit code is the run's. Two minutes before the time limit the run gets SIGTERM: it closes its journal and ends with 130.
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
port=$((20000 + SLURM_JOB_ID % 10000))                      # two jobs can share a node

# Only processes with the job's environment can talk to its Ray.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0

# Slurm copies the script before it runs it, so `$0` does not name this file.
on=${ON:-$SLURM_SUBMIT_DIR/cluster/shared-folder.yaml}
exec srun --kill-on-bad-exit=0 ray symmetric-run --address "$address:$port" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_PER_TASK" \
  -- ray-pipeline "$@" --on "$on" --json
