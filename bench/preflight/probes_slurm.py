"""Does Slurm answer here, and does it start MPI tools and containers?"""

import re
from collections.abc import Iterator

from bench.preflight.conf import NodeProfile
from bench.preflight.finding import Finding, ok, warn
from bench.preflight.probes_gpu import Answers


def slurm(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """PMIx for nccl-tests, pyxis and enroot for containers; our own jobs need neither."""
    listed = answers["mpi"]
    if listed.is_missing:
        yield ok("slurm", "none here: jobs run on this machine (cluster=local)")
        return
    if listed.trouble is not None:
        yield warn(
            "slurm",
            listed.trouble,
            todo="is SLURM_CONF set, does `scontrol ping` answer? cluster=auto runs here meanwhile",
        )
        return
    has_pmix = re.search(r"\bpmix(_v\d+)?\b", listed.text) is not None
    has_pyxis = "--container-image" in answers["srun_help"].text
    enroot = answers["enroot"]
    version = enroot.text.strip() if enroot.trouble is None else ""
    for name, found, missing, todo in (
        ("pmix", "yes" if has_pmix else "", "no pmix", "nccl-tests want `srun --mpi=pmix`"),
        (
            "pyxis",
            "yes" if has_pyxis else "",
            "srun knows no --container-image",
            "cluster.container_image will not work: run on the host",
        ),
        (
            "enroot",
            version,
            enroot.trouble or "says nothing",
            "pyxis needs it on every node (github.com/NVIDIA/pyxis: 3.1 or later)",
        ),
    ):
        if found or not profile.is_server:
            yield ok(name, found or f"{missing}; not needed here")
        else:
            yield warn(name, missing, todo=todo)
