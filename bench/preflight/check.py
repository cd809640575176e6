"""All probes of a node, within ten seconds: ask everything at once, then judge what was said."""

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.preflight import (
    probes_gpu,
    probes_health,
    probes_node,
    probes_slurm,
    probes_software,
    services,
    storage,
)
from bench.preflight.collect import NOT_ASKED, Answer, ask, gather
from bench.preflight.commands import GPU_COMMANDS, SLURM_COMMANDS
from bench.preflight.conf import CPU, DGX_B200, HGX_H100, OTHER, NodeProfile
from bench.preflight.finding import Finding, critical, ok, warn
from bench.preflight.formats import read_table
from bench.preflight.visible import keep_visible
from pipeline.models.conf import ModelConfig

COMMAND_S = 7.0
"""Seconds one command may take."""
ALL_S = 8.5
"""Seconds for everything that is asked; with Python's own start it stays below ten."""
HASH_S = 5.0

Probe = Callable[[probes_gpu.Answers, NodeProfile], Iterable[Finding]]
GPU_PROBES: tuple[Probe, ...] = (
    probes_gpu.driver,
    probes_gpu.mig,
    probes_gpu.topology,
    probes_gpu.nvlink,
    probes_health.fabric,
    probes_gpu.power,
    probes_gpu.clocks,
    probes_health.ecc,
    probes_health.row_remap,
    probes_health.recovery,
    probes_health.xid,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to look at."""

    profile: NodeProfile | None = None
    """What to expect; None: judged by the GPUs that are there."""
    num_gpus: int | None = None
    """GPUs a job was given, where they may be fewer than the node's."""
    visible: tuple[str, ...] | None = None
    """Indices or UUIDs of those; the others are not looked at. None: all that the driver shows."""
    mig: bool | None = None
    """Whether GPUs should be cut; None: as the profile says."""
    runs_dir: Path
    num_nodes: int = 1
    is_quick: bool = False
    """Only what costs next to nothing: no Slurm, torch, network or hashing."""
    wandb: services.Wandb = field(default_factory=services.Wandb)
    models: Mapping[str, ModelConfig] = field(default_factory=dict)
    hub: Path = Path()
    """The model hub's cache."""
    is_hub_offline: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was found on one node."""

    profile: str
    findings: list[Finding]
    elapsed_s: float


def check_node(request: Request, *, all_s: float = ALL_S, command_s: float = COMMAND_S) -> Report:
    """Look at this node; ends in time and never raises for what it finds.

    Args:
        request: What to look at.
        all_s: Seconds for everything that is asked.
        command_s: Seconds one command may take of them.
    """
    started_s = time.monotonic()
    answers = collect(request, limit_s=min(command_s, 0.8 * all_s))
    live = _live(request)
    tasks: dict[str, Callable[[], Answer | list[Finding]]] = {**answers, **live}
    given = gather(tasks, limit_s=all_s)
    said = {name: _answer(given[name]) for name in answers}
    said = keep_visible(said, request.visible)
    profile = expected(request, said)
    findings = judge(said, profile, request)
    for name in live:
        result = given[name]
        findings += result if isinstance(result, list) else [_trouble(name, result)]
    return Report(
        profile=profile.name, findings=findings, elapsed_s=round(time.monotonic() - started_s, 2)
    )


def collect(request: Request, *, limit_s: float = COMMAND_S) -> dict[str, Callable[[], Answer]]:
    """Return what is to be asked, each by its own command."""
    commands: dict[str, tuple[str, ...]] = {}
    if request.profile is not CPU:
        commands |= GPU_COMMANDS
    if not request.is_quick:
        commands |= SLURM_COMMANDS | {"torch": probes_software.TORCH_COMMAND}
    return {name: partial(ask, command, limit_s=limit_s) for name, command in commands.items()}


def expected(request: Request, answers: Mapping[str, Answer]) -> NodeProfile:
    """Return what to expect: what was asked for, else what the GPUs' names stand for."""
    profile = request.profile or _by_name(answers.get("gpus", NOT_ASKED), request)
    if request.num_gpus is not None and profile is not CPU:
        profile = dataclasses.replace(profile, num_gpus=request.num_gpus)
    if request.mig is not None:
        # How many slices' parents a job sees is the scheduler's business.
        number = None if request.mig else profile.num_gpus
        profile = dataclasses.replace(profile, mig=request.mig, num_gpus=number)
    return profile


def judge(answers: Mapping[str, Answer], profile: NodeProfile, request: Request) -> list[Finding]:
    """Return what the answers mean. Pure but for ``/proc`` and ``/sys``."""
    asked = (*GPU_COMMANDS, *SLURM_COMMANDS, "torch")
    answers = dict.fromkeys(asked, NOT_ASKED) | dict(answers)
    findings: list[Finding] = []
    if profile.num_gpus == 0:
        findings.append(ok("gpu.count", "none, none expected"))
    else:
        there = _run("gpu.count", probes_gpu.gpus, answers, profile)
        findings += there
        # Without a driver that answers, the rest would say the same thing ten times.
        if read_table(answers["gpus"].text, "index"):
            for probe in GPU_PROBES:
                findings += _run(probe.__name__, probe, answers, profile)
        else:
            findings += _run("xid", probes_health.xid, answers, profile)
    findings += _guarded("cpu", partial(probes_node.cpu, profile))
    findings += _guarded("nics", partial(probes_node.nics, profile))
    if not request.is_quick:
        findings += _run("slurm", probes_slurm.slurm, answers, profile)
        findings += _run("torch", probes_software.torch, answers, profile)
    return findings


def _by_name(answer: Answer, request: Request) -> NodeProfile:
    """A driver that does not answer, or a job that asked for GPUs, is no machine without them."""
    if answer.is_missing and not _has_driver() and not request.num_gpus:
        return CPU
    names = " ".join(row["name"] for row in read_table(answer.text, "index"))
    known = (each for each in (DGX_B200, HGX_H100) if re.search(each.gpu_pattern, names))
    return next(known, OTHER)


def _has_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


def _live(request: Request) -> dict[str, Callable[[], list[Finding]]]:
    tasks: dict[str, Callable[[], Iterable[Finding]]] = {
        "runs": partial(storage.check_folder, request.runs_dir, num_nodes=request.num_nodes)
    }
    if not request.is_quick:
        tasks["wandb"] = partial(services.check_wandb, request.wandb)
        tasks["models"] = partial(
            services.check_models,
            request.models,
            hub=request.hub,
            is_offline=request.is_hub_offline,
            limit_s=HASH_S,
        )
    return {name: partial(_guarded, name, task) for name, task in tasks.items()}


def _answer(given: Answer | list[Finding] | Exception) -> Answer:
    if isinstance(given, Answer):
        return given
    return Answer(trouble=f"{type(given).__name__}: {given}")


def _run(
    name: str, probe: Probe, answers: probes_gpu.Answers, profile: NodeProfile
) -> list[Finding]:
    return _guarded(name, partial(probe, answers, profile))


def _guarded(name: str, probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Turn a probe's own fault into a finding: what it met is more than its author knew of."""
    findings: list[Finding] = []
    try:
        findings.extend(probe())
    except Exception as error:  # any: one probe must not take the others with it
        findings.append(_trouble(name, error))
    return findings


def _trouble(name: str, error: object) -> Finding:
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError) and name == "runs":
        return critical(
            "runs.writable", f"the folder gives {error}", todo="the file system hangs: see `mount`"
        )
    return warn(name, f"unknown: {said}", todo="this check did not take place; please report it")
