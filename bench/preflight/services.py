"""What is asked for over the network, and the models that must be here before a job is."""

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.preflight.finding import Finding, critical, ok, warn
from pipeline.core.files import sha256_file
from pipeline.models.conf import ModelConfig

SYNC = "python -m jobs.review sync"
"""Sends what was written offline."""
REACH_S = 2.0
"""Seconds in which W&B must take a connection."""
SLOWEST_HASH = 150 * 2**20
"""Bytes a second that are surely hashed: what would take longer than is left is not begun."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wandb:
    """How this machine would talk to W&B. Holds no key, only whether there is one."""

    mode: str = "offline"
    """``disabled``, ``offline`` or ``online``."""
    host: str = ""
    """Where the server listens, as the client is set."""
    port: int = 443
    has_key: bool = False


def check_wandb(wandb: Wandb) -> Iterator[Finding]:
    """Is a mirror that is asked for within reach? It never ends a job."""
    if wandb.mode != "online":
        told = {"offline": f"offline: `{SYNC}` later", "disabled": "off"}
        if wandb.mode in told:
            yield ok("wandb", told[wandb.mode])
        else:
            allowed = "online, offline, disabled"
            yield warn("wandb", wandb.mode, expected=allowed, todo="set WANDB_MODE to one of them")
        return
    if not wandb.has_key:
        yield warn("wandb", "online, but no key", todo="`wandb login`, or tracker=jsonl")
    try:
        with socket.create_connection((wandb.host, wandb.port), timeout=REACH_S):
            pass
    except OSError as error:
        yield warn(
            "wandb",
            f"{wandb.host} cannot be reached ({error})",
            todo=f"WANDB_MODE=offline, and `{SYNC}` from a node that reaches it",
        )
        return
    yield ok("wandb", f"online, {wandb.host} answers")


def check_models(
    models: Mapping[str, ModelConfig], *, hub: Path, is_offline: bool, limit_s: float
) -> Iterator[Finding]:
    """Are the models of the configs here, with the bytes their digests name?

    Hashed as long as there is time, small files first; a file that is left is there, and is hashed
    when a job loads it.

    Args:
        models: By name, such as ``pixelnano``.
        hub: Cache of the model hub.
        is_offline: Whether the hub may not be asked.
        limit_s: Seconds for all hashing together.
    """
    end_s = time.monotonic() + limit_s
    for name, model in models.items():
        if model.path is not None:
            yield _local(f"models.{name}", model.path, model.sha256, end_s=end_s)
        elif model.repo is not None:
            yield _cached(f"models.{name}", model, hub=hub, is_offline=is_offline)


def _local(name: str, folder: Path, expected: Mapping[str, str], *, end_s: float) -> Finding:
    todo = "restore it (`git lfs` or a copy), or set model.path to your own folder"
    missing = [file for file in expected if not (folder / file).is_file()]
    if missing or not folder.is_dir():
        return critical(name, f"{folder}: no {', '.join(missing) or 'such folder'}", todo=todo)
    left = []
    for file in sorted(expected, key=lambda file: (folder / file).stat().st_size):
        size = (folder / file).stat().st_size
        if time.monotonic() + size / SLOWEST_HASH > end_s:
            left.append(file)
        elif (found := sha256_file(folder / file)) != expected[file]:
            return critical(
                name,
                f"{folder / file} has sha256 {found[:12]}...",
                expected=f"{expected[file][:12]}...",
                todo=todo,
            )
    if left:
        return ok(name, f"there; too big to hash now: {', '.join(left)}")
    return ok(name, f"{len(expected)} files, as their digests say")


def _cached(name: str, model: ModelConfig, *, hub: Path, is_offline: bool) -> Finding:
    folder = f"models--{(model.repo or '').replace('/', '--')}/snapshots/{model.revision}"
    if (hub / folder / "model_index.json").exists():
        return ok(name, f"{model.repo} at {(model.revision or '')[:8]} is in the hub's cache")
    if is_offline:
        return warn(
            name,
            f"{model.repo} is not in {hub}, and the hub is off",
            todo="fetch it from a node with a network, or set model.path",
        )
    return ok(name, f"{model.repo} is not here; it is fetched when a job asks for it")
