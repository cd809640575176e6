"""The page of ratings: one HTML file with everything in it, and nothing that tells the runs apart.

Pictures are named by digests and listed in the order of these; each rater's own order is drawn in
the page from the rater's name. The page may load nothing: its content security policy says so.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from eval.rubric.conf import MakeConfig, RubricMode
from eval.rubric.criteria import PAIR_QUESTION, SMALL_SIDE_PX, criteria
from eval.rubric.key import Key, Shown, key_path, write_key
from eval.rubric.sprites import Sprite, data_url, read_sprites, same_names
from pipeline.core.errors import InputError
from pipeline.core.files import sha256_bytes, write_atomic
from pipeline.core.seeds import derive_permutation, derive_seed

ASSETS = Path(__file__).parent / "assets"
SCHEMA = "dgx-pixels-rubric/1"
ID_DIGITS = 16
MOST_REFERENCES = 24

Sets = Mapping[str, Sequence[Sprite]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page and what its names stand for."""

    html: str
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What ``make`` wrote."""

    page: Path
    key: Path
    num_items: int
    """Pictures, or pairs, without those that come twice."""
    num_repeats: int
    """As many come twice to each rater; half of the items at most."""


def make(cfg: MakeConfig) -> Made:
    """Write a page and its key.

    Raises:
        InputError: Folders cannot be read, or do not belong together.
    """
    names = cfg.names or _folder_names(cfg.runs)
    sets: Sets = {name: read_sprites(run) for name, run in zip(names, cfg.runs, strict=True)}
    references = read_sprites(cfg.references) if cfg.references else []
    if cfg.num_images:
        sets = draw(sets, cfg.num_images, seed=cfg.seed)
    page = build_page(
        sets,
        mode=cfg.mode,
        num_repeats=cfg.num_repeats,
        show_prompts=cfg.show_prompts,
        references=references,
        seed=cfg.seed,
    )
    write_key(key_path(cfg.out), page.key)
    write_atomic(cfg.out, page.html.encode())
    return Made(
        page=cfg.out,
        key=key_path(cfg.out),
        num_items=len(page.key.items),
        num_repeats=page.key.num_repeats,
    )


def draw(sets: Sets, count: int, *, seed: int) -> Sets:
    """Draw ``count`` names and keep their pictures of every run.

    Raises:
        InputError: A run has fewer, or the runs do not hold the same names.
    """
    names = same_names(sets, same_prompts=False)
    if count > len(names):
        raise InputError(f"num_images: {count}, but the runs have {len(names)} each")
    chosen = derive_permutation(seed, "rubric_images", 0, size=len(names))[:count]
    kept = {names[index] for index in chosen}
    return {run: [each for each in sprites if each.name in kept] for run, sprites in sets.items()}


def build_page(
    sets: Sets,
    *,
    mode: RubricMode,
    num_repeats: int = 0,
    show_prompts: bool = True,
    references: Sequence[Sprite] = (),
    seed: int = 0,
) -> Page:
    """Build a page from pictures at hand.

    Args:
        sets: Pictures of each run by its name, the base first; the same names in each.
        mode: What raters are asked; pairs are all pairs of runs, name by name.
        num_repeats: Items each rater sees twice; half of them at most.
        show_prompts: Whether raters read the prompts.
        references: Pictures that show the style, at most 24.
        seed: Decides names and orders.

    Raises:
        InputError: Runs do not belong together, or there are too few of them.
    """
    _check(sets, mode, references)
    names = same_names(sets, same_prompts=show_prompts)
    by_run = {run: {each.name: each for each in sprites} for run, sprites in sets.items()}
    images: dict[str, Shown] = {}
    told: dict[str, dict[str, Any]] = {}
    items: dict[str, list[str]] = {}
    pairs: dict[str, tuple[str, str]] = {}
    for name in names:
        ids = []
        group = next(iter(by_run.values()))[name].together
        for run, sprites in by_run.items():
            sprite = sprites[name]
            ids.append(_opaque(f"{seed}/{run}/{name}/".encode() + sprite.rgba.tobytes()))
            images[ids[-1]] = Shown(run=run, name=name, prompt=sprite.prompt, group=group)
            told[ids[-1]] = _told(sprite)
        if mode is RubricMode.absolute:
            items |= {each: [each] for each in ids}
        else:
            pairs |= {_opaque("/".join(sorted(two)).encode()): two for two in combinations(ids, 2)}
    items |= {each: sorted(two) for each, two in pairs.items()}
    num_repeats = min(num_repeats, len(items) // 2)
    asked = _asked(mode, has_references=bool(references)) | {
        "images": {each: told[each] for each in sorted(told)},
        "items": [
            {
                "id": each,
                "images": items[each],
                "prompt": images[items[each][0]].prompt if show_prompts else "",
            }
            for each in sorted(items)
        ],
        "references": sorted((_told(each) for each in references), key=lambda one: one["src"]),
        "num_repeats": num_repeats,
        "order_seed": derive_seed(seed, "rubric_order", 0) % 2**32,
    }
    digest = sha256_bytes(json.dumps(asked, sort_keys=True).encode())
    key = Key(
        page=digest,
        mode=mode,
        runs=tuple(sets),
        num_repeats=num_repeats,
        images={each: images[each] for each in sorted(images)},
        pairs={each: pairs[each] for each in sorted(pairs)},
    )
    return Page(html=_html({"page": digest, **asked}), key=key)


def _check(sets: Sets, mode: RubricMode, references: Sequence[Sprite]) -> None:
    least = 1 if mode is RubricMode.absolute else 2
    if len(sets) < least:
        raise InputError(f"runs: {len(sets)} given; mode={mode.value} needs {least} or more")
    for run, sprites in sets.items():
        if len({each.name for each in sprites}) < len(sprites):
            raise InputError(f"runs: {run} has pictures of one name")
    if len(references) > MOST_REFERENCES:
        raise InputError(
            f"references: {len(references)} pictures; at most {MOST_REFERENCES} can be looked at"
        )


def _asked(mode: RubricMode, *, has_references: bool) -> dict[str, Any]:
    asked = criteria(has_references=has_references) if mode is RubricMode.absolute else ()
    return {
        "schema": SCHEMA,
        "mode": mode.value,
        "question": PAIR_QUESTION,
        "small_side_px": SMALL_SIDE_PX,
        "criteria": [
            {
                "name": criterion.name,
                "title": criterion.title,
                "question": criterion.question,
                "anchors": {str(side): list(said) for side, said in criterion.anchors.items()},
            }
            for criterion in asked
        ],
    }


def _told(sprite: Sprite) -> dict[str, Any]:
    height, width = sprite.rgba.shape[:2]
    return {"width_px": width, "height_px": height, "src": data_url(sprite.rgba)}


def _html(data: Mapping[str, Any]) -> str:
    template, style, *parts = (
        (ASSETS / name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "rating.js", "screen.js")
    )
    script = "\n".join(("(() => {", '"use strict";', *parts, "})();"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    # Text of users may hold "</script>"; it goes in last, so that nothing in it is replaced.
    text = json.dumps(data, sort_keys=True).replace("<", "\\u003c")
    return (
        template.replace("@@STYLE@@", style)
        .replace("@@SCRIPT@@", script)
        .replace("@@SCRIPT_SHA256@@", allowed)
        .replace("@@DATA@@", text)
    )


def _opaque(data: bytes) -> str:
    return sha256_bytes(data)[:ID_DIGITS]


def _folder_names(runs: Sequence[Path]) -> list[str]:
    names = [run.resolve().name for run in runs]
    if len(set(names)) != len(names):
        raise InputError(f"runs: folders named alike ({', '.join(names)}); give names=[...]")
    return names
