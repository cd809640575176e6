"""What offline runs use, told to W&B once they are sent: nothing can be looked up offline."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jobs.runtime.sync import Offline, without_key
from jobs.runtime.trackers import USES
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json

LINKED = "linked.json"
"""In ``wandb/``: what has been told of ``USES``."""
API_TIMEOUT_S = 30
"""Seconds an answer of the server may take."""


def link(attempts: Sequence[Offline], *, tell: Callable[[str], None]) -> list[str]:
    """Tell the server what each sent run uses; go on where an earlier call left off.

    Args:
        attempts: Every offline attempt; runs with one that is not sent are passed over.
        tell: Takes a line for each link.

    Returns:
        A line for each that is left: what is used may not have been sent, or never was on W&B.
    """
    unsent = {each.run_dir.path for each in attempts if not each.is_sent}
    folders = {each.run_dir.path: None for each in attempts if each.run_dir.path not in unsent}
    left = []
    for folder in folders:
        try:
            left += _link_run(folder / "wandb", tell)
        except InputError as error:
            left.append(str(error))
    return left


def _link_run(folder: Path, tell: Callable[[str], None]) -> list[str]:
    if not (folder / USES).is_file():
        return []
    told = read_json(folder / USES)
    done = read_json(folder / LINKED)["uses"] if (folder / LINKED).is_file() else []
    todo = [name for name in told["uses"] if name not in done]
    left = []
    for name in todo:
        try:
            _use(told, name)
        except Exception as error:  # whatever a client of a service may raise
            left.append(f"{told['run']} uses {name}: {without_key(str(error))}")
            continue
        done = [*done, name]
        write_json(folder / LINKED, {"uses": done})
        tell(f"{told['run']} uses {name}")
    return left


def _use(told: dict[str, Any], name: str) -> None:
    import wandb

    api = wandb.Api(timeout=API_TIMEOUT_S)
    project = f"{told['entity'] or api.default_entity}/{told['project']}"
    api.run(f"{project}/{told['run']}").use_artifact(api.artifact(f"{project}/{name}"))
