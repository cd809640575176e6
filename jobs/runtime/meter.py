"""Telemetry beside a job: one sampler a node, and what it found in ``run.json``.

Nothing here may end a job, change what it makes, or keep it waiting for more than ``NODES_S``:
trouble is a line in the log.
"""

import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.telemetry.cost import Prices, with_cost
from bench.telemetry.nvml import mig_is_on, visible_uuids
from bench.telemetry.sampler import Sampler
from bench.telemetry.sources import Opener, openers
from bench.telemetry.stream import ShouldStop
from bench.telemetry.summary import PACKAGES, read_folder, summarise
from bench.telemetry.totals import add_up
from jobs.runtime.conf import TelemetryConfig
from jobs.runtime.world import host_name, job_id
from pipeline.core.rundir import RunDir
from pipeline.core.world import World

log = logging.getLogger(__name__)

IMAGES_ARE = {"generate": "made", "train": "trained on"}
"""Jobs whose ``num_images`` is work done, and what was done to them."""
NODES_S = 10.0
"""How long the main rank waits at the end until the other nodes have written their last line."""
POLL_S = 0.5
SHARED = "jobs of the array share these counters"


class Meter:
    """Samples this node while a job runs on it.

    Args:
        cfg: Whether, how often, at what price.
        run_dir: The job's own folder.
        world: This process; the first of its node samples for all of them.
        env: The scheduler's environment.
    """

    def __init__(
        self, cfg: TelemetryConfig, run_dir: RunDir, world: World, env: Mapping[str, str]
    ) -> None:
        self.attempt = attempt_id(env)
        self._cfg = cfg
        self._run_dir = run_dir
        self._sampler: Sampler | None = None
        if not cfg.enabled or world.local_rank:
            return
        node = host_name(env)
        self._sampler = Sampler(
            run_dir.telemetry / f"{node}.jsonl",
            attempt=self.attempt,
            node=node,
            interval_s=cfg.interval_s,
            root=_root(env),
            about={"shared": SHARED} if _is_shared(world, env) else None,
            find_ways=lambda should_stop: _ways(world, env, cfg.interval_s, should_stop),
        ).start()

    def stop(self) -> None:
        """Take a last sample; waits some seconds at most."""
        if self._sampler is not None:
            self._sampler.stop()

    def settle(self, value: dict[str, Any]) -> None:
        """Side effect: put into a run's record what was found, of attempts that were killed too.

        Waits for the last lines of other nodes, ``NODES_S`` at most, save after a failure.

        Args:
            value: As in ``run.json``.
        """
        end_s = time.monotonic() + NODES_S
        self.stop()
        if not self._cfg.enabled and "telemetry" not in value:
            return
        try:
            attempts = value["attempts"]
            if self._sampler is not None and value["status"] != "failed":
                self._wait_for_nodes(attempts[-1]["num_nodes"], end_s)
            missing = {a["id"] for a in attempts if "id" in a and not a.get("telemetry")}
            found = read_folder(self._run_dir.telemetry, only=missing)
            for attempt in attempts:
                if attempt.get("id") in found:
                    attempt["telemetry"] = summarise(found[attempt["id"]])
            value["telemetry"] = sum_up(
                attempts,
                job=value["job"],
                figures=value["figures"],
                finished=value["status"] == "finished",
                prices={
                    "per_gpu_hour": self._cfg.price_per_gpu_hour,
                    "per_kwh": self._cfg.price_per_kwh,
                    "currency": self._cfg.currency,
                },
            )
        except Exception as error:  # a record without telemetry is better than none
            log.warning("telemetry: not summed up (%s: %s)", type(error).__name__, error)

    def _wait_for_nodes(self, num_nodes: int, end_s: float) -> None:
        while num_nodes > 1 and time.monotonic() < end_s:
            found = read_folder(self._run_dir.telemetry, only={self.attempt})
            if sum(segment.ended for segment in found.get(self.attempt, [])) >= num_nodes:
                return
            time.sleep(POLL_S)


def sum_up(
    attempts: Sequence[Mapping[str, Any]],
    *,
    job: str,
    figures: Mapping[str, Any],
    finished: bool,
    prices: Mapping[str, Any],
    is_array: bool = False,
) -> dict[str, Any]:
    """Return ``telemetry`` of ``run.json``: sums over attempts, and the share of an image.

    Args:
        attempts: All of the run's.
        job: Name of the verb.
        figures: Of the run.
        finished: Whether it is; an unfinished training has no LoRA.
        prices: As ``Prices``.
        is_array: Whether attempts are of several jobs, which may have run on one node at a time.
    """
    counts = job in IMAGES_ARE
    sums = add_up(attempts)
    if is_array and any(_is_of_packages(attempt) for attempt in attempts):
        sums |= {"energy_j": None, "energy_of": None, "energy_why": SHARED}
    told = with_cost(
        sums,
        Prices(**prices),
        num_images=int(figures.get("num_images", 0)) if counts else None,
        num_loras=1 if job == "train" and finished else None,
    )
    return told | {"images_are": IMAGES_ARE.get(job), "prices": dict(prices)}


def _is_of_packages(attempt: Mapping[str, Any]) -> bool:
    told = attempt.get("telemetry") or {}
    return str(told.get("energy_of")).startswith(PACKAGES)


def attempt_id(env: Mapping[str, str]) -> str:
    """Return a word for this attempt: on Slurm the same on all nodes, elsewhere a random one."""
    job = job_id(env)
    if env.get("SUBMITIT_EXECUTOR") == "slurm":
        return f"{job}.{env.get('SLURM_RESTART_COUNT', '0')}"
    return f"{job}.{secrets.token_hex(4)}"


def _root(env: Mapping[str, str]) -> int:
    """The process above all ranks of the node: Slurm's step, submitit's controller, else this."""
    parent = os.getppid()
    return parent if "SUBMITIT_EXECUTOR" in env and parent > 1 else os.getpid()


def _is_shared(world: World, env: Mapping[str, str]) -> bool:
    """Whether other jobs of the array run beside this one on the same hardware."""
    return world.array_size > 1 and env.get("SUBMITIT_EXECUTOR") == "local"


def _ways(
    world: World, env: Mapping[str, str], interval_s: float, should_stop: ShouldStop
) -> tuple[list[Opener], dict[str, Any]]:
    """Return the sources to try, and of whose GPUs they are to tell."""
    if world.device == "cpu":
        return [], {"scope": "no GPU is the job's"}
    visible = env.get("CUDA_VISIBLE_DEVICES")
    uuids = visible_uuids(visible)
    if uuids is None and visible is not None:
        # Better none than those of others.
        return [], {"scope": "GPUs of CUDA_VISIBLE_DEVICES not found"}
    ways = openers(interval_s=interval_s, uuids=uuids, should_stop=should_stop)
    scope = "all GPUs of the node" if uuids is None else f"{len(uuids)} GPUs"
    return ways, {"scope": scope, "mig": "MIG-" in (visible or "") or mig_is_on(uuids)}
