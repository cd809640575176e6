"""What a run would do, before it is submitted: how many images, how long, the first rows."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import InputError
from pipeline.core.files import read_json
from pipeline.generate.conf import GenerateConfig
from pipeline.generate.grammar import count
from pipeline.generate.work import WorkList, build_work

ROWS = 8


def describe_work(cfg: GenerateConfig, *, runs_dir: Path, num_ranks: int) -> str:
    """Return count, cost and first rows of a run's work.

    Args:
        cfg: The run's settings.
        runs_dir: Where finished runs tell how fast they were.
        num_ranks: Processes that would work at it.

    Raises:
        InputError: The prompts cannot be read.
    """
    work = build_work(cfg)
    lines = [f"images    {len(work)} = {_product(cfg, work)}"]
    templates = [text for text in cfg.prompts if "{" in text]
    lines += [f"          {count(text, cfg.grammar)} prompts from {text!r}" for text in templates]
    lines.append(f"batches   {_num_batches(cfg, work)} of up to {cfg.batch_size}")
    lines.append(f"time      {_estimate(cfg, len(work), runs_dir=runs_dir, num_ranks=num_ranks)}")
    lines.append("first     index  seed        size  variant  prompt")
    for index in range(min(ROWS, len(work))):
        item = work[index]
        variant = work.variants[item.variant] or "-"
        seed = f"{item.seed}/{item.seed_number}"
        lines.append(
            f"          {index:>5}  {seed:<10}  {item.size_px:>4}  {variant:<7}  {item.prompt}"
        )
    if len(work) > ROWS:
        lines.append(f"          and {len(work) - ROWS} more")
    return "\n".join(lines)


def _product(cfg: GenerateConfig, work: WorkList) -> str:
    seeds = {prompt.num_seeds for prompt in work.prompts}
    told = f"{cfg.num_seeds} seeds" if seeds == {cfg.num_seeds} else "their seeds"
    return (
        f"{len(work.prompts)} prompts x {told} x {len(work.variants)} variants "
        f"x {len(work.sizes_px)} sizes"
    )


def _num_batches(cfg: GenerateConfig, work: WorkList) -> int:
    blocks = len(work) // work.block_size
    return blocks * -(-work.block_size // cfg.batch_size)


def _estimate(cfg: GenerateConfig, num_images: int, *, runs_dir: Path, num_ranks: int) -> str:
    found = _measured(cfg, runs_dir)
    if found is None:
        return "not known: no finished run with this model, size, sampler and batch here"
    rate_img_per_s, run = found
    hours, rest = divmod(int(num_images / (rate_img_per_s * num_ranks)), 3600)
    minutes, seconds = divmod(rest, 60)
    return (
        f"{hours} h {minutes} min {seconds} s on {num_ranks} ranks, at the {rate_img_per_s:.2f} "
        f"img/s a rank of {run}"
    )


def _measured(cfg: GenerateConfig, runs_dir: Path) -> tuple[float, str] | None:
    """Return the rate a rank of the newest finished run that computes as this one would."""
    newest: tuple[float, float, str] | None = None
    for path in runs_dir.glob("generate/*/*/run.json"):
        try:
            record = read_json(path)
            other = yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8"))
            rate = float(record["figures"]["rate_img_per_s"])
            num_ranks = int(record["figures"]["num_processes"])
        except (InputError, OSError, KeyError, IndexError, ValueError, yaml.YAMLError):
            continue
        if record["status"] == "finished" and rate > 0 and _alike(cfg, other):
            written = path.stat().st_mtime
            if newest is None or written > newest[0]:
                newest = (written, rate / num_ranks, path.parent.name)
    return None if newest is None else newest[1:]


def _alike(cfg: GenerateConfig, other: dict[str, Any]) -> bool:
    mine = (
        cfg.model.family.value,
        cfg.sampler.name.value,
        cfg.sampler.num_steps,
        cfg.sampler.guidance_scale > 1,
        cfg.batch_size,
        cfg.precision.value,
        cfg.sizes_px or [cfg.model.size_px],
    )
    model, sampler = other["model"], other["sampler"]
    theirs = (
        model["family"],
        sampler["name"],
        sampler["num_steps"],
        sampler["guidance_scale"] > 1,
        other["batch_size"],
        other["precision"],
        other.get("sizes_px") or [model["size_px"]],
    )
    return mine == theirs
