#!/usr/bin/env bash
# Write STATUS.md of the week that yesterday lies in: run on a Monday, of the week that is over.
#
#   sbatch sbatch/status_weekly.sh
#   sbatch --account=me sbatch/status_weekly.sh --goal-latency-ms=500 --price-per-gpu-hour=2.5
#
# Options go to `python -m jobs.status`; a --week among them wins. Run it from the root of the
# repository, or give sbatch --chdir=ROOT. docs/status.md has the lines for scrontab and cron, where
# it also runs without Slurm. PYTHON names another interpreter. It commits nothing: `git diff
# STATUS.md` is to be read first.
#SBATCH --job-name=status
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=00:10:00
#SBATCH --output=%x-%j.log
set -euo pipefail

# Slurm runs a copy of this file, and cron begins at home: the first place that is the project wins.
for root in "$PWD" "${SLURM_SUBMIT_DIR:-$PWD}" "$(dirname "$0")/.."; do
  if [ -f "$root/jobs/status.py" ]; then break; fi
done
if [ ! -f "$root/jobs/status.py" ]; then
  echo "error: $PWD is not the root of the repository; submit from there, or give sbatch --chdir" >&2
  exit 2
fi
cd "$root"
PYTHON="${PYTHON:-.venv/bin/python}"
if ! command -v "$PYTHON" > /dev/null; then
  echo "error: $PYTHON is not there; run make setup, or set PYTHON" >&2
  exit 2
fi
exec "$PYTHON" -m jobs.status --week "$(date -u -d '1 day ago' +%G-W%V)" "$@"
