#!/bin/bash
# Slurm's Prolog on a GPU node: tells dcgm-exporter whose job is on each GPU (label hpc_job).
#
# One file a GPU, named by its index, a job id a line, as dcgm-exporter's --hpc-job-mapping-dir reads.
# SLURM_JOB_GPUS has indices; CUDA_VISIBLE_DEVICES may have UUIDs (Slurm from 25.11). Needs
# PrologFlags=Alloc. A prolog that fails drains its node, so this one never does.
PATH=/usr/bin:/bin
folder=${DGX_PIXELS_GPU_JOBS:-/var/lib/dgx-pixels/gpu-jobs}

[[ ${SLURM_JOB_ID:-} =~ ^[0-9]+$ ]] || exit 0
mkdir -p "$folder" || exit 0
exec 9> "$folder/.lock" && flock --wait 5 9 || exit 0
IFS=, read -r -a gpus <<< "${SLURM_JOB_GPUS:-}"
for gpu in "${gpus[@]}"; do
    [[ $gpu =~ ^[0-9]+$ ]] || continue
    file=$folder/$gpu
    # Beside others where GPUs are shared; never twice, as after a requeue.
    { grep --no-messages --invert-match --line-regexp "$SLURM_JOB_ID" "$file"; echo "$SLURM_JOB_ID"; } > "$folder/.new" &&
        chmod 644 "$folder/.new" && mv "$folder/.new" "$file"
done
exit 0
