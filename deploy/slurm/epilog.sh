#!/bin/bash
# Slurm's Epilog on a GPU node: takes the job out of the files that prolog.sh wrote. Never fails: a
# failing epilog drains its node. All GPUs are looked through, since an epilog may know fewer than ran.
PATH=/usr/bin:/bin
folder=${DGX_PIXELS_GPU_JOBS:-/var/lib/dgx-pixels/gpu-jobs}

[[ ${SLURM_JOB_ID:-} =~ ^[0-9]+$ ]] || exit 0
[[ -d $folder ]] || exit 0
exec 9> "$folder/.lock" && flock --wait 5 9 || exit 0
for file in "$folder"/[0-9]*; do
    grep --quiet --no-messages --line-regexp "$SLURM_JOB_ID" "$file" || continue
    grep --invert-match --line-regexp "$SLURM_JOB_ID" "$file" > "$folder/.new"
    if [[ -s $folder/.new ]]; then
        chmod 644 "$folder/.new" && mv "$folder/.new" "$file"
    else
        rm -f "$file" "$folder/.new"
    fi
done
exit 0
