"""The one table all of ``deploy/k8s`` and ``deploy/slurm`` is made from."""

from deploy.observe.gpus import GPU_SIGNALS
from deploy.observe.jobs_rows import JOB_SIGNALS
from deploy.observe.xid import XID_SIGNALS

SIGNALS = (*GPU_SIGNALS, *XID_SIGNALS, *JOB_SIGNALS)

DASHBOARDS = {
    "utilisation": "GPU utilisation",
    "vram": "VRAM and disks",
    "thermals": "Thermals and health",
    "power": "Power",
    "nvlink": "NVLink and NCCL",
    "generation": "Generation",
    "training": "Training",
    "cost": "Energy and cost",
}
