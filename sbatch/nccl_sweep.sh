#!/usr/bin/env bash
# Sweep NCCL's collectives: 2, 4, 8 GPUs and all nodes, NVLS on and off, 8 B to 16 GiB.
#
#   sbatch sbatch/nccl_sweep.sh                                      what the partition gives by default
#   sbatch --partition=batch --account=me -N 4 --gpus-per-node=8 sbatch/nccl_sweep.sh
#   sbatch sbatch/nccl_sweep.sh --wandb=offline --max-bytes=1G       the rest goes to `python -m jobs.nccl`
#
# Submit it from the root of the repository, or give --chdir=ROOT. Flags before the script's name beat the lines below. Nothing
# below asks for GPUs, so that it also runs where there are none: what is measured is what the driver
# shows and the allocation gives, and on a CPU it is gloo and says so. Where the cluster has GPUs, ask
# for them with --gpus-per-node. nccl-tests' programs are taken from PATH or --nccl-tests=FOLDER.
#
# This script is one process; it starts a step (srun) for every number of ranks and every setting of
# NVLS, since NCCL reads NCCL_NVLS_ENABLE once a process. PYTHON names another interpreter, such as an
# image's; a container for the steps goes into --srun-args='--container-image=...'.
# Out: a run folder with tables, charts and result.json, and bench/baselines/nccl.<hardware>.<device>.json.
#SBATCH --job-name=nccl-sweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=02:00:00
#SBATCH --output=%x_%j.out
#SBATCH --open-mode=append
#SBATCH --no-requeue
set -euo pipefail

# Slurm runs a copy of this file in a folder of its own, so its place tells nothing there.
for root in "$PWD" "${SLURM_SUBMIT_DIR:-$PWD}" "${SLURM_SUBMIT_DIR:-$PWD}/.." "$(dirname "$0")/.."; do
  if [ -f "$root/jobs/nccl.py" ]; then break; fi
done
cd "$root"
if [ ! -f jobs/nccl.py ]; then
  echo "error: ${SLURM_SUBMIT_DIR:-$root} is not the root of the repository; submit from there," \
    "or give sbatch --chdir=ROOT" >&2
  exit 2
fi
PYTHON="${PYTHON:-.venv/bin/python}"
if ! command -v "$PYTHON" > /dev/null; then
  echo "error: $PYTHON is not there; run make setup, or set PYTHON" >&2
  exit 2
fi
echo "job ${SLURM_JOB_ID:-none} on ${SLURM_JOB_NODELIST:-this machine}"
exec "$PYTHON" -m jobs.nccl --baseline "$@"
