"""Freeze a submission: what runs later is what was asked for now.

runs/<job>/<name>/<run_id>/config.yaml  code/  code.json
"""

import dataclasses
import datetime
import importlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from jobs.conf import JobConfig
from jobs.runtime.config import freeze, thaw
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, sha256_bytes, sha256_file, write_atomic, write_json
from pipeline.core.rundir import RunDir

ROOT = Path(__file__).parents[2]
CODE = ("jobs", "pipeline", "train", "eval", "bench", "repro", "configs")
FREE_KEYS = (
    "cluster",
    "tracker",
    "telemetry",
    "wait",
    "run_id",
    "runs_dir",
    "array",
    "dry_run",
    "goal",
)
"""What a resumed run may change: where it runs and who watches, never what it makes."""


def freeze_run(job: str, config: JobConfig, *, command: str) -> RunDir:
    """Make a run folder for a config, or find the one that ``run_id`` names.

    Args:
        job: Name of the verb.
        config: What to freeze.
        command: What was typed, for the record.

    Raises:
        InputError: The run exists with other settings, or the folder cannot be written.
    """
    run_id = config.run_id or new_run_id(config.name)
    run_dir = RunDir((Path(config.runs_dir) / job / config.name / run_id).absolute())
    existed = run_dir.path.exists()
    try:
        kept: dict[str, Any] = {
            key: _keep_input(run_dir, key, path) for key, path in config.inputs.items()
        }
        config = dataclasses.replace(config, run_id=run_id, **kept)
        text = freeze(config, base=Path.cwd())
        # Written last: a folder without it was never submitted.
        if run_dir.code_json.exists():
            _check_same(run_dir, type(config), text)
            text = _in_words_of(run_dir.config.read_text(encoding="utf-8"), text)
            # The code stays what it was, and so does the word on where it came from.
            origin = read_json(run_dir.code_json)
        else:
            _copy_code(run_dir)
            origin = {"command": command, **read_origin(), "code_sha256": code_digest(run_dir.code)}
        write_atomic(run_dir.config, text.encode())
        write_json(run_dir.code_json, origin | {"config_sha256": sha256_bytes(text.encode())})
    except OSError as error:
        if not existed:
            # Nothing was submitted: a folder without a config would only be in the way.
            shutil.rmtree(run_dir.path, ignore_errors=True)
        # copytree gathers one entry a file; the first says it.
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        raise InputError(f"runs_dir: {run_dir.path} cannot be written ({why})") from error
    return run_dir


def _keep_input(run_dir: RunDir, key: str, path: Path) -> Path:
    """Copy a file that the job will read into its run; a run that goes on keeps what it has."""
    kept = run_dir.path / "inputs" / path.name
    if path.absolute() == kept:
        return kept
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{key}: {path} cannot be read ({error.strerror})") from None
    if kept.exists() and kept.read_bytes() != data:
        raise InputError(
            f"{key}: {path} is not what the run {run_dir.path.name} was started with; restore it "
            "or leave run_id out"
        )
    write_atomic(kept, data)
    return kept


def load_frozen(run_dir: RunDir, schema: type[Any]) -> Any:
    """Read a run's config and check that nobody touched it or the code since it was submitted.

    Raises:
        InputError: Either is missing or was edited, or the config does not fit the schema.
    """
    expected = read_json(run_dir.code_json)
    if not run_dir.config.is_file():
        raise InputError(f"{run_dir.config}: no such file; is this a run folder?")
    for path, key, digest in (
        (run_dir.config, "config_sha256", sha256_file(run_dir.config)),
        (run_dir.code, "code_sha256", code_digest(run_dir.code)),
    ):
        if digest != expected.get(key):
            raise InputError(
                f"{path}: edited after it was frozen (sha256 {digest[:12]}..., "
                f"{run_dir.code_json.name} says {expected.get(key)}); start a new run instead"
            )
    return thaw(schema, run_dir.config.read_text(encoding="utf-8"))


def load_job(run_dir: RunDir) -> tuple[ModuleType, Any]:
    """Return the module of the verb that a run is of, and the run's settings.

    Raises:
        InputError: As ``load_frozen``.
    """
    module = importlib.import_module(f"jobs.{run_dir.path.parts[-3]}")
    return module, load_frozen(run_dir, module.SCHEMA)


def code_digest(folder: Path) -> str:
    """Return one sha256 over names and bytes of the frozen files.

    Only those of the rooms: jobs run in the folder itself, and a dying one may leave a core there.
    """
    found = (path for room in CODE for path in (folder / room).rglob("*"))
    files = sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)
    lines = [f"{sha256_file(path)} {path.relative_to(folder).as_posix()}\n" for path in files]
    return sha256_bytes("".join(lines).encode())


def new_run_id(name: str) -> str:
    """Return a new id: name, date, six random hex digits."""
    today = datetime.datetime.now(tz=datetime.UTC)
    return f"{name}-{today:%Y%m%d}-{secrets.token_hex(3)}"


def _check_same(run_dir: RunDir, schema: type[Any], text: str) -> None:
    old = thaw(schema, run_dir.config.read_text(encoding="utf-8"))
    new = thaw(schema, text)
    for key, was, now in _differences(dataclasses.asdict(old), dataclasses.asdict(new), ""):
        if key.split(".")[0] not in FREE_KEYS:
            raise InputError(
                f"{key}: the run {run_dir.path.name} was started with {was}, now it is {now}; "
                "restore it or leave run_id out"
            )


def _in_words_of(old: str, new: str) -> str:
    """Return the new settings under the keys of the old ones: the frozen code knows no others."""
    was, now = yaml.safe_load(old), yaml.safe_load(new)
    for key in [key for key in FREE_KEYS if key in was and key in now]:
        if isinstance(was[key], dict):
            was[key] = {name: now[key].get(name, value) for name, value in was[key].items()}
        else:
            was[key] = now[key]
    return yaml.safe_dump(was, sort_keys=False, allow_unicode=True)


def _differences(
    old: dict[str, Any], new: dict[str, Any], prefix: str
) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key, was in old.items():
        now = new[key]
        if isinstance(was, dict) and isinstance(now, dict) and was.keys() == now.keys():
            found += _differences(was, now, f"{prefix}{key}.")
        elif was != now:
            found.append((prefix + key, getattr(was, "value", was), getattr(now, "value", now)))
    return found


def _copy_code(run_dir: RunDir) -> None:
    """Copy what the job runs from, as it stands in the working tree: no caches, models, figures.

    Models are read where the config says they are, and checked against its digests. A small head
    that belongs to code, such as a metric's, goes with it.
    """
    run_dir.path.mkdir(parents=True, exist_ok=True)
    scratch = run_dir.path / f".code-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    ignore = shutil.ignore_patterns(
        "__pycache__", "*.pyc", ".*", "*model.safetensors", "baselines", "reference"
    )
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, scratch / name, ignore=ignore)
    shutil.rmtree(run_dir.code, ignore_errors=True)
    scratch.replace(run_dir.code)


def read_origin() -> dict[str, Any]:
    """Return where this code is from: commit, and digests of the diff and the lock; None: none."""
    lock = ROOT / "requirements.lock"
    # Measured figures are not code: keeping them must not change what the next run says it is.
    apart = ("--", ".", ":(exclude)bench/baselines")
    diff = _git("diff", "HEAD", *apart) or ""
    # Files that git does not know are copied and run like the others.
    for name in (_git("ls-files", "--others", "--exclude-standard", *apart) or "").splitlines():
        if name.split("/")[0] in CODE:
            diff += f"{sha256_file(ROOT / name)} {name}\n"
    return {
        "commit": (_git("rev-parse", "HEAD") or "").strip() or None,
        "diff_sha256": sha256_bytes(diff.encode()) if diff else None,
        "lock_sha256": sha256_file(lock) if lock.is_file() else None,
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
