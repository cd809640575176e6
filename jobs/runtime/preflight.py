"""Preflight's adapter: what it needs of the environment, and the look before a job on Slurm."""

import logging
import os
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bench.preflight.check import ALL_S, COMMAND_S, Report, Request, check_node
from bench.preflight.collect import Answer, ask, gather
from bench.preflight.commands import GPU_COMMANDS, SLURM_COMMANDS
from bench.preflight.conf import CPU
from bench.preflight.finding import Level, worst
from bench.preflight.page import hardware_page
from bench.preflight.probes_node import read_ports
from bench.preflight.report import write_report
from bench.preflight.services import Wandb
from bench.preflight.storage import mount_type, nearest
from jobs.conf import GenerateJob
from jobs.runtime.client import has_login, server_url
from jobs.runtime.conf import ClusterConfig
from jobs.runtime.world import gpus_of_node, host_name, job_id
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_atomic
from pipeline.core.machine import read_machine
from pipeline.core.rundir import RunDir
from pipeline.core.world import World
from pipeline.models.conf import ModelConfig

log = logging.getLogger(__name__)


JOB_ALL_S = 40.0
JOB_COMMAND_S = 30.0
"""Seconds for a look before a job, and for one command of it: without persistence mode a driver is
slow to answer ten questions at once, and must not look like a broken node."""
WAIT_S = 60.0
"""Seconds the main rank waits for the other nodes' word: longer than a look takes."""
POLL_S = 0.1


def before_job(cluster: ClusterConfig, world: World, run_dir: RunDir) -> None:
    """Look at the node before a job on Slurm does any work; warnings go to the log.

    One process of a node looks; ``preflight/<node>.json`` says what it saw. The main rank waits for
    the other nodes' files, so that ``run.json`` names the node that is at fault.

    Raises:
        InputError: A node is broken. The job ends with it, and is not requeued.
    """
    if not cluster.preflight or world.local_rank or os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return
    report = check_node(_request(cluster, run_dir), all_s=JOB_ALL_S, command_s=JOB_COMMAND_S)
    write_report(
        run_dir.preflight(host_name()), report, host=host_name(), attempt=_attempt(os.environ)
    )
    for finding in report.findings:
        if finding.level is not Level.OK:
            log.warning("preflight: %s: %s", finding.level.name, finding)
    log.info("preflight: %s in %.1f s", worst(report.findings).name, report.elapsed_s)
    _end_if_broken(report, world, run_dir)


def _request(cluster: ClusterConfig, run_dir: RunDir) -> Request:
    on_gpu = cluster.gpus_per_node > 0 or cluster.gres is not None
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    visible = tuple(name.strip() for name in names if name.strip())
    # Where every process is bound to one GPU, this one speaks for its own.
    is_bound = cluster.tasks_per_node > 1 and len(visible) == 1
    given = 1 if is_bound else gpus_of_node(cluster)
    num_gpus = 1 if given is None else given  # of slices one at least
    return Request(
        profile=None if on_gpu else CPU,
        num_gpus=num_gpus if on_gpu else None,
        visible=visible or None,
        mig=_wants_mig(cluster.gres),
        runs_dir=run_dir.path,
        num_nodes=cluster.num_nodes,
        is_quick=True,
    )


def _wants_mig(gres: str | None) -> bool | None:
    """Slices are asked for by profile, as ``gpu:1g.23gb:1``."""
    return True if gres is not None and "g." in gres else None


def _end_if_broken(report: Report, world: World, run_dir: RunDir) -> None:
    line = _broken(host_name(), [str(f) for f in report.findings if f.level is Level.CRITICAL])
    if world.num_nodes > 1:
        if world.is_main:
            line = line or _others(world, run_dir)
        elif line:
            # The main rank ends the job, with this node's name in run.json; or else this one does.
            time.sleep(WAIT_S)
    if line:
        raise InputError(line)


def _others(world: World, run_dir: RunDir) -> str:
    """Return the line of a broken node, once all have written or the time is over."""
    end_s = time.monotonic() + WAIT_S
    while True:
        said = [
            value
            for path in run_dir.preflight("x").parent.glob("*.json")
            if (value := read_json(path))["attempt"] == _attempt(os.environ)
        ]
        for value in said:
            faults = [f for f in value["findings"] if f["level"] == Level.CRITICAL.name]
            told = [f"{f['name']}: {f['found']}; {f['todo']}" for f in faults]
            if line := _broken(value["host"], told):
                return line
        if len(said) >= world.num_nodes:
            return ""
        if time.monotonic() > end_s:
            log.warning("preflight: %s of %s nodes have spoken", len(said), world.num_nodes)
            return ""
        time.sleep(POLL_S)


def _broken(host: str, faults: list[str]) -> str:
    if not faults:
        return ""
    more = f" (and {len(faults) - 1} more, see preflight/)" if len(faults) > 1 else ""
    return f"preflight: node {host}: {faults[0]}{more}; cluster.preflight=false runs all the same"


def _attempt(env: os._Environ[str]) -> str:
    return f"{job_id(env)}.{env.get('SLURM_RESTART_COUNT', '0')}"


def read_wandb() -> Wandb:
    """Return how W&B would be used here; of a key only whether there is one."""
    url = server_url()
    base = urlsplit(url)
    return Wandb(
        mode=os.environ.get("WANDB_MODE", "offline"),
        host=base.hostname or "",
        port=base.port or (80 if base.scheme == "http" else 443),
        has_key=has_login(url),
    )


def read_hub() -> tuple[Path, bool]:
    """Return the model hub's cache, and whether the hub is switched off."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    return cache, os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "TRUE", "YES", "ON"}


def pinned_models() -> dict[str, ModelConfig]:
    """Return the named models whose bytes are known: a folder with digests, or a hub commit."""
    from jobs.runtime.config import CONFIGS, choices, compose_config

    models = {
        name: compose_config("generate", GenerateJob, [f"model={name}", "prompts=[-]"]).model
        for name in choices("model")
    }
    for model in models.values():
        # As the configs mean it, wherever this was called from.
        model.path = CONFIGS.parent / model.path if model.path else None
    return {name: model for name, model in models.items() if model.path or model.repo}


def write_page(path: Path, *, runs_dir: Path) -> None:
    """Write ``bench.preflight.page`` of this machine."""
    commands = GPU_COMMANDS | {"enroot": SLURM_COMMANDS["enroot"]}
    given = gather(
        {name: partial(ask, command, limit_s=COMMAND_S) for name, command in commands.items()},
        limit_s=ALL_S,
    )
    answers = {name: value for name, value in given.items() if isinstance(value, Answer)}
    text = hardware_page(
        read_machine(), answers, ports=read_ports(), file_system=mount_type(nearest(runs_dir))
    )
    write_atomic(path, text.encode())
