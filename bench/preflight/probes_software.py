"""Do torch, CUDA, NCCL and the driver fit together? torch is asked in a process of its own."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from bench.preflight.conf import CUDA_DRIVER_FLOOR, NodeProfile
from bench.preflight.finding import Finding, critical, ok, warn
from bench.preflight.formats import read_table, read_versions, version_of
from bench.preflight.probes_gpu import Answers

ASK_TORCH = """\
import json, torch
nccl = None
try:
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
except (AttributeError, RuntimeError):
    pass
sees = torch.cuda.is_available()
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda, "nccl": nccl,
    "num_gpus": torch.cuda.device_count() if sees else 0,
    "archs": torch.cuda.get_arch_list(),
}))
"""
TORCH_COMMAND = (sys.executable, "-c", ASK_TORCH)


def torch(answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    """Is it a build for these GPUs, with a driver new enough, and does it see them?"""
    answer = answers["torch"]
    told = _last_object(answer.text) if answer.trouble is None else None
    if told is None:
        # The last line of a traceback is the one that says it.
        said = answer.text.strip().rpartition("\n")[2][:160]
        why = said or answer.trouble or "no answer"
        yield warn("torch", why, todo="`python -c 'import torch'`; a cold file system is slow once")
        return
    yield _build(told, profile)
    if told["cuda"] and profile.num_gpus != 0:
        yield _fits_driver(told["cuda"], answers)
        yield (
            ok("nccl", told["nccl"])
            if told["nccl"]
            else warn("nccl", "torch has none", todo="several GPUs need a torch built with NCCL")
        )
        yield from _sees(told, answers, profile)


def _build(told: dict[str, Any], profile: NodeProfile) -> Finding:
    name = f"{told['torch']}, CUDA {told['cuda'] or 'none'}"
    if profile.num_gpus == 0 or told["cuda"]:
        return ok("torch", name)
    return critical(
        "torch", name, expected="a CUDA build", todo="install torch from the CUDA index"
    )


def _fits_driver(cuda: str, answers: Answers) -> Finding:
    serves = read_versions(answers["versions"].text).get("cuda")
    rows = read_table(answers["gpus"].text, "index")
    driver = rows[0]["driver_version"] if rows else ""
    floor = CUDA_DRIVER_FLOOR.get(version_of(cuda)[0])
    if driver and floor and version_of(driver) < version_of(floor):
        return critical(
            "cuda",
            f"torch wants CUDA {cuda}, driver {driver} serves {serves or 'less'}",
            expected=f"driver {floor} or later",
            todo="have the driver updated, or install a torch built for the older CUDA",
        )
    return ok("cuda", f"torch {cuda}, driver serves {serves or 'it does not say which'}")


def _sees(told: dict[str, Any], answers: Answers, profile: NodeProfile) -> Iterator[Finding]:
    there = len(read_table(answers["gpus"].text, "index"))
    if told["num_gpus"] < there:
        yield critical(
            "torch.gpus",
            f"torch sees {told['num_gpus']} of {there} GPUs",
            todo="is CUDA_VISIBLE_DEVICES narrower than the job, is the fabric manager up?",
        )
    if profile.arch and told["archs"] and profile.arch not in told["archs"]:
        yield critical(
            "torch.arch",
            f"built for {', '.join(told['archs'])}",
            expected=profile.arch,
            todo="install a newer torch",
        )


def _last_object(text: str) -> dict[str, Any] | None:
    """Return the JSON on the last line: warnings may stand before it."""
    try:
        value = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return value if isinstance(value, dict) and {"torch", "cuda", "nccl"} <= set(value) else None
