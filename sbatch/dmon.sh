#!/usr/bin/env bash
# Sample a node, or every node of an allocation, for a while; print what was found.
#
#   sbatch sbatch/dmon.sh                                        60 s of the node it is given
#   sbatch --partition=batch --account=me -N 4 --gpus-per-node=8 sbatch/dmon.sh --seconds 600
#   sbatch sbatch/dmon.sh --interval 0.5 -- python my_step.py    beside a command, to its end
#   srun --jobid=JOB --overlap sbatch/dmon.sh --seconds 60       beside a job that runs, on its nodes
#
# Run it from the root of the repository; options are those of `python -m bench.telemetry`. Flags
# before the script's name beat the lines below, which ask for no GPU so that it also runs where
# there are none. DCGM, NVML, nvidia-smi, in this order, tell of the GPUs; without any, CPU time and
# memory are what is left. PYTHON names another interpreter.
# Out: one file a node, below runs/dmon/<job id>/, and its table in the log.
#SBATCH --job-name=dmon
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:00:00
#SBATCH --output=%x_%j.out
#SBATCH --open-mode=append
#SBATCH --no-requeue
set -euo pipefail

# Slurm runs a copy of this file in its own folder. --chdir shows in PWD alone: SLURM_SUBMIT_DIR is
# where sbatch was typed.
for root in "$PWD" "${SLURM_SUBMIT_DIR:-$PWD}" "$(dirname "$0")/.."; do
  if [ -f "$root/bench/telemetry/__main__.py" ]; then break; fi
done
if [ ! -f "$root/bench/telemetry/__main__.py" ]; then
  echo "error: $PWD is not the root of the repository; submit from there, or give sbatch --chdir" >&2
  exit 2
fi
cd "$root"
PYTHON="${PYTHON:-.venv/bin/python}"
if ! command -v "$PYTHON" > /dev/null; then
  echo "error: $PYTHON is not there; run make setup, or set PYTHON" >&2
  exit 2
fi
sample=("$PYTHON" -m bench.telemetry --out "runs/dmon/${SLURM_JOB_ID:-here}" "$@")
# A batch script has no step of its own (its id is none or "batch"): start one on every node.
if [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; then
  exec srun --ntasks-per-node=1 --label "${sample[@]}"
fi
exec "${sample[@]}"
