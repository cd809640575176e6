#!/usr/bin/env bash
# repro/run.sh on a node of a cluster: sbatch [--partition=P --account=A --gpus=1] sbatch/smoke.sh [--compare RECORD] [key=value ...]
#
# From the project's root. With a GPU: sbatch --gpus=1 sbatch/smoke.sh cluster.gpus_per_node=1
#SBATCH --cpus-per-task=1
#SBATCH --job-name=smoke
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --output=%x-%j.log
#SBATCH --time=15
set -euo pipefail

# Slurm runs a copy of this file: where it was submitted from is the one way to the project.
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch}"
[ -x repro/run.sh ] || { echo "error: $PWD is not the project's root; submit from there" >&2; exit 2; }
exec repro/run.sh "$@"
