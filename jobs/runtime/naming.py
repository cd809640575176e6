"""The scheme of docs/wandb.md: how runs are named on W&B, what they make and what they use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.files import read_json
from pipeline.core.rundir import RunDir

DIGEST_DIGITS = 12
"""Of a data set's digest, in the alias that names its version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An artifact: files that a run made, under a name of their own."""

    kind: str
    """``dataset``, ``lora``, ``sprites`` or ``evaluation``."""
    name: str
    files: tuple[Path, ...]
    aliases: tuple[str, ...] = ()
    """Names of this version beside ``latest``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """What ``wandb.init`` is told of a run."""

    id: str
    """Unique in a project: the same run_id may name a training and a generation."""
    name: str
    group: str
    """The experiment: its data set, trainings, generations and evaluations stand together."""
    job_type: str
    """The verb."""
    tags: tuple[str, ...]


def naming(run_dir: RunDir, config: Mapping[str, Any], tags: list[str]) -> Naming:
    """Name a run after its folder, ``runs/<job>/<experiment>/<run_id>``.

    Args:
        run_dir: The run.
        config: Its own; of a model in it, family and size become tags.
        tags: Asked for.
    """
    job, experiment, run_id = run_dir.path.parts[-3:]
    model = config.get("model")
    told = model if isinstance(model, Mapping) else {}
    size = f"{told['size_px']}px" if told.get("size_px") else None
    own = [str(each) for each in (told.get("family"), size) if each]
    return Naming(
        id=run_id_of(run_dir.path),
        name=run_id,
        group=experiment,
        job_type=job,
        tags=tuple(dict.fromkeys([*tags, *own])),
    )


def run_id_of(path: Path) -> str:
    """Return the id on W&B of the run in a folder."""
    return "-".join(path.parts[-3:])


def made_by(run_dir: RunDir, figures: Mapping[str, Any]) -> list[Made]:
    """Return what a finished run has made: a data set, a LoRA or sprites.

    Of data sets and sprites their records and a picture: the files themselves stay where they are.

    Raises:
        InputError: A record of it is broken.
    """
    job, own = run_dir.path.parts[-3], run_id_of(run_dir.path)
    match job:
        case "prepare" if "out" in figures:
            out = Path(str(figures["out"]))
            kind, (name, version) = "dataset", _dataset(out)
            files, aliases = [out / "dataset.json", out / "contact_sheet.png"], [version]
        case "train":
            kind, name = "lora", f"lora-{own}"
            files, aliases = sorted(run_dir.lora.glob("*")), []
        case "generate":
            kind, name = "sprites", f"sprites-{own}"
            files = [run_dir.path / "recipe.json", run_dir.table, run_dir.contact_sheet]
            aliases = []
        case _:
            return []
    there = tuple(file for file in files if file.is_file())
    return [Made(kind=kind, name=name, files=there, aliases=tuple(aliases))] if there else []


def used_by(run_dir: RunDir, config: Mapping[str, Any]) -> list[str]:
    """Return what a run uses, as ``name:alias``, so far as it came of runs and data sets here.

    Raises:
        InputError: The record of a data set is broken.
    """
    match run_dir.path.parts[-3]:
        case "train":
            found = [_dataset_used(_at(config, "data", "path"))]
        case "generate":
            loras = [*(config.get("loras") or []), *_of_variants(config)]
            found = [_of_run(_at(each, "path"), "lora") for each in loras]
        case "evaluate":
            sets = [_of_run(_at(config, name), "sprites") for name in ("run", "base", "reference")]
            found = [*sets, _dataset_used(_at(config, "art"))]
        case _:
            found = []
    return list(dict.fromkeys(each for each in found if each))


def _of_variants(config: Mapping[str, Any]) -> list[Any]:
    return [lora for each in config.get("variants") or [] for lora in _at(each, "loras") or []]


def _at(value: Any, *keys: str) -> Any:
    """Look into mappings; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _dataset_used(path: Any) -> str:
    if path is None or not (Path(path) / "dataset.json").is_file():
        return ""
    return ":".join(_dataset(Path(path)))


def _dataset(path: Path) -> tuple[str, str]:
    """Return a data set's name as an artifact, and its version's."""
    card = read_json(path / "dataset.json")
    return f"dataset-{card.get('name')}", str(card.get("digest"))[:DIGEST_DIGITS]


def _of_run(path: Any, kind: str) -> str:
    """Name what the run made that a path is the folder of, or is in."""
    if path is None:
        return ""
    whole = Path(path).resolve()
    runs = [each for each in (whole, *whole.parents[:2]) if (each / "run.json").is_file()]
    return f"{kind}-{run_id_of(runs[0])}:latest" if runs else ""
