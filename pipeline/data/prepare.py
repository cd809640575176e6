"""From raw art to a data set: native grid, duplicates, groups, shards, card, report, picture.

out/  dataset.json  report.json  contact_sheet.png  train-000000.tar .idx  validation-... .idx
"""

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes, write_atomic, write_json
from pipeline.core.outcome import Outcome
from pipeline.core.picture import png_bytes
from pipeline.core.sheet import contact_sheet
from pipeline.data.conf import ArtKind, PrepareConfig, SourceKind
from pipeline.data.dataset import CARD, FORMAT
from pipeline.data.groups import held_out, sibling_groups
from pipeline.data.native import to_native
from pipeline.data.shards import write_shards
from pipeline.data.sources.art import Art, Found, Pixels, Rejected
from pipeline.data.sources.crawl import read_crawl
from pipeline.data.sources.folder import read_folder
from pipeline.data.sources.procedural import draw_procedural
from pipeline.data.sources.sheet import read_sheets

log = logging.getLogger(__name__)

SHEET_IMAGES = 160
SPLITS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Kept:
    """An image that goes into the data set."""

    art: Art
    pixels: Pixels
    kind: ArtKind
    digest: str
    group: str = ""
    split: str = "train"


def prepare(cfg: PrepareConfig, *, should_stop: Callable[[], bool]) -> Outcome:
    """Make the data set ``cfg.out``; it appears whole or not at all.

    Returns:
        Counts for ``run.json``; not finished when told to stop (nothing is left behind then).

    Raises:
        InputError: The source cannot be read, nothing usable is in it, ``cfg.out`` holds something
            else, or a file is unusable and ``cfg.strict``.
    """
    # A link to a folder stays a link: what it points to is replaced.
    cfg = replace(cfg, out=cfg.out.resolve())
    check_out(cfg.out)
    kept: list[Kept] = []
    rejected: list[Rejected] = []
    seen: dict[str, str] = {}
    for found in _read(cfg):
        if should_stop():
            return Outcome(finished=False)
        result = found if isinstance(found, Rejected) else _keep(found, cfg, seen=seen)
        if isinstance(result, Kept):
            kept.append(result)
        elif result is not None:
            rejected.append(result)
            log.debug("left out %s: %s", result.name, result.reason)
    kept = _assign(kept, cfg)
    _check(cfg, kept, rejected)
    if cfg.validation_fraction and not any(k.split == "validation" for k in kept):
        log.warning(
            "nothing is held out: no group of siblings fits into validation_fraction=%s of %d",
            cfg.validation_fraction,
            len(kept),
        )
    figures = _write(cfg, kept, rejected)
    log.info(
        "%s: %d images (%d for validation), %d files left out; see report.json",
        cfg.out,
        len(kept),
        figures["num_validation"],
        len(rejected),
    )
    return Outcome(finished=True, figures=figures)


def check_out(out: Path) -> None:
    """Refuse to replace a folder that is not a data set.

    Raises:
        InputError: Naming it.
    """
    if out.exists() and not (out / CARD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out: {out} exists and is not a data set; give another folder")


def _read(cfg: PrepareConfig) -> Found:
    source, max_px = cfg.source, cfg.max_input_px
    match source.kind:
        case SourceKind.folder:
            return read_folder(source, max_px=max_px)
        case SourceKind.sheet:
            return read_sheets(source, max_px=max_px)
        case SourceKind.crawl:
            return read_crawl(source, art=cfg.art, cache_dir=cfg.cache_dir, max_px=max_px)
        case SourceKind.procedural:
            return draw_procedural(source, art=cfg.art, seed=cfg.seed, size_px=cfg.size_px)


def _keep(art: Art, cfg: PrepareConfig, *, seen: dict[str, str]) -> Kept | Rejected | None:
    """Return what to keep, the reason not to, or None for another kind of art than asked for."""
    pixels = to_native(art.pixels, size_px=cfg.size_px)
    height, width = pixels.shape[:2]
    if (height, width) != (cfg.size_px, cfg.size_px):
        reason = f"{width}x{height} is neither {cfg.size_px}x{cfg.size_px} nor an enlargement of it"
        return Rejected(name=art.name, reason=reason)
    alpha = pixels[..., 3]
    kind = ArtKind.tile if alpha.min() == 255 else ArtKind.sprite
    if cfg.art not in (ArtKind.any, kind):
        return None
    share = float((alpha > 0).mean())
    if share < cfg.min_opaque_fraction:
        return Rejected(name=art.name, reason=f"only {share:.1%} of its pixels are visible")
    shown = np.where(pixels[..., 3:] > 0, pixels, 0).astype(np.uint8)
    digest = sha256_bytes(shown.tobytes())
    if digest in seen:
        return Rejected(name=art.name, reason=f"same pixels as {seen[digest]}")
    seen[digest] = art.name
    return Kept(art, shown, kind, digest)


def _assign(kept: list[Kept], cfg: PrepareConfig) -> list[Kept]:
    """Put every image into its group, and the groups into their splits."""
    if not kept:
        return kept
    told = [k.art.group for k in kept]
    if len(set(told)) == 1:
        # Names that put all into one group (img_0001, ...) tell nothing; pixels still do.
        told = [k.art.name for k in kept]
    groups = sibling_groups(told, [k.pixels for k in kept])
    out = held_out(groups, fraction=cfg.validation_fraction, seed=cfg.seed)
    return [
        replace(k, group=group, split="validation" if is_out else "train")
        for k, group, is_out in zip(kept, groups, out, strict=True)
    ]


def _check(cfg: PrepareConfig, kept: list[Kept], rejected: list[Rejected]) -> None:
    if cfg.strict and rejected:
        first = rejected[0]
        raise InputError(
            f"strict: {len(rejected)} files are unusable, the first is {first.name}: {first.reason}"
        )
    if not any(k.split == "train" for k in kept):
        why = f"; the first of {len(rejected)} left out: {rejected[0].reason}" if rejected else ""
        raise InputError(f"source: {cfg.source.path or cfg.source.kind.value} gave no image{why}")


def _write(
    cfg: PrepareConfig, kept: list[Kept], rejected: list[Rejected]
) -> dict[str, float | int | str]:
    scratch = None
    try:
        cfg.out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{cfg.out.name}.", dir=cfg.out.parent))
        card = _write_shards(scratch, cfg, kept)
        write_json(scratch / "report.json", _report(kept, rejected))
        _write_sheet(scratch / "contact_sheet.png", kept)
        write_json(scratch / CARD, card)
        scratch.chmod(0o755)
        if cfg.out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{cfg.out.name}.old.", dir=cfg.out.parent))
            cfg.out.replace(old)
            scratch.replace(cfg.out)
            shutil.rmtree(old)
        else:
            scratch.replace(cfg.out)
    except OSError as error:
        raise InputError(f"out: {cfg.out} could not be written ({error})") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return {
        "num_images": len(kept),
        "num_validation": sum(k.split == "validation" for k in kept),
        "num_rejected": len(rejected),
        "out": str(cfg.out),
        "digest": card["digest"],
    }


def _write_shards(folder: Path, cfg: PrepareConfig, kept: list[Kept]) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    number = 0
    for split in SPLITS:
        members = [k for k in kept if k.split == split]
        samples = [(number + i, k.pixels, _record(k)) for i, k in enumerate(members)]
        number += len(members)
        shards = write_shards(folder, split, samples, images_per_shard=cfg.images_per_shard)
        splits[split] = {"num_images": len(members), "shards": shards}
    lines = [f"{s['file']} {s['sha256']}\n" for part in splits.values() for s in part["shards"]]
    return {
        "format": FORMAT,
        "name": cfg.out.name,
        "size_px": cfg.size_px,
        "num_images": len(kept),
        "flip_ok": cfg.flip_ok,
        "seed": cfg.seed,
        "digest": sha256_bytes("".join(lines).encode()),
        "splits": splits,
        "kinds": {
            kind.value: sum(k.kind is kind for k in kept) for kind in (ArtKind.tile, ArtKind.sprite)
        },
        "palette": _palette(kept),
        "licences": _ledger(kept),
        "source": {"kind": cfg.source.kind.value, "art": cfg.art.value},
    }


def _record(kept: Kept) -> dict[str, Any]:
    art = kept.art
    return {
        "caption": art.caption,
        "name": art.name,
        "source": art.source,
        "licence": art.licence,
        "split": kept.split,
        "kind": kept.kind.value,
        "group": kept.group,
        "sha256": kept.digest,
    }


def _palette(kept: Iterable[Kept]) -> dict[str, Any]:
    counts = []
    for k in kept:
        visible = k.pixels[k.pixels[..., 3] > 0][:, :3]
        counts.append(len(np.unique(visible, axis=0)))
    return {
        "colours_median": float(np.median(counts)),
        "colours_max": int(max(counts)),
        "share_up_to_32_colours": round(float(np.mean([c <= 32 for c in counts])), 4),
    }


def _ledger(kept: Iterable[Kept]) -> list[dict[str, Any]]:
    rows = Counter((k.art.licence, k.art.attribution, k.art.source) for k in kept)
    return [
        {"licence": licence, "attribution": attribution, "source": source, "num_images": count}
        for (licence, attribution, source), count in sorted(rows.items())
    ]


def _report(kept: list[Kept], rejected: list[Rejected]) -> dict[str, Any]:
    return {
        "num_images": len(kept),
        "num_left_out": len(rejected),
        "left_out": [{"name": r.name, "reason": r.reason} for r in rejected],
        "captions": dict(Counter(k.art.caption for k in kept).most_common(50)),
    }


def _write_sheet(path: Path, kept: list[Kept]) -> None:
    step = max(1, len(kept) // SHEET_IMAGES)
    images = [Image.fromarray(k.pixels) for k in kept[::step][:SHEET_IMAGES]]
    write_atomic(path, png_bytes(contact_sheet(images, columns=16, enlarge=2)))
