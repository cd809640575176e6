#!/usr/bin/env bash
# Ten pictures, checked, with all that made them: repro/run.sh [--compare RECORD] [key=value ...]
#
#   repro/run.sh                            on this machine's CPU; exact where hashes are recorded
#   repro/run.sh cluster.gpus_per_node=1    on a GPU, by tolerance
#   repro/run.sh --compare RECORD           and what changed since: a smoke.json, run or baseline
#   repro/run.sh record=true                keep this run's pictures and hashes as the reference
#
# Exit status 1 when a picture is not what was recorded, 2 when something is to be mended first.
set -euo pipefail

started_in="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

overrides=()
where=(cluster=inline)
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) sed -n '2,/^$/s/^#[ ]\{0,1\}//p' repro/run.sh; exit 0 ;;
    --compare)
      [ $# -ge 2 ] || { echo "error: --compare: give a smoke.json, a run folder or a baseline" >&2; exit 2; }
      # As seen from here: a baseline keeps the command, and is no place for this machine's paths.
      record="$(root="$PWD" && cd "$started_in" && realpath -m --relative-to="$root" -- "$2")"
      if [ -d "$record" ]; then record="$record/smoke.json"; fi
      overrides+=("compare='${record//\'/\\\'}'")
      shift
      ;;
    cluster=*) where=("$1") ;;
    *) overrides+=("$1") ;;
  esac
  shift
done

[ -x .venv/bin/python ] || make setup
exec .venv/bin/python -m jobs.smoke "${where[@]}" "${overrides[@]}"
