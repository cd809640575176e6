"""Native pixels back from enlarged ones: how often exactly, and how fast, ours and others.

Sprites of the data set, on a plain ground with one cell of it around them, are enlarged with an
offset of a part of a cell, then blurred (Gaussian, 1 px), or noised (Gaussian, 8 of 255), or
compressed (JPEG, quality 80), or all three in that order. A result is snapped to the sprite's own
palette, ours and theirs alike, and laid over the sprite where it fits best. A pixel is recovered
when it is within 0.05 (OKLab) of the true colour; an image is exact when all 1024 are. "Same" are
pixels of the very same palette entry: among many near colours noise leaves that to chance. "Kept"
are images that were not reduced to some 32 px: not sure, failed, or taken to be native. The others
run with their default settings, in their own environment (``make bench-rivals``). One thread each.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from bench.conf import BenchConfig
from bench.record import Row, row
from bench.turns import ShouldStop, look
from pipeline.core.errors import InputError
from pipeline.core.seeds import derive_permutation, derive_seed, derive_uniform
from pipeline.core.sheet import contact_sheet
from pipeline.core.timing import Stopwatch
from pipeline.data.dataset import Dataset
from pipeline.pixels.chain import Finisher
from pipeline.pixels.conf import FinishConfig, GridConfig
from pipeline.pixels.oklab import Bytes, nearest, squared, to_oklab

CONDITIONS = ("clean", "blur", "noise", "jpeg", "all")
RIVALS = ("proper-pixel-art", "unfake")
NATIVE_PX = 32
SEED = 1
"""Which sprites: those the published table is of."""
TOLERANCE = 0.05
BATCH = 8
MARGIN = 4
"""Cells a result may be shifted by, or lack, at each side."""
MOST_PX = 3 * NATIVE_PX // 2
"""A larger result was not reduced to the sprite's grid."""
GROUNDS = ((200, 60, 200), (60, 160, 70), (235, 235, 235), (40, 44, 60))


def load_sprites(path: Path, count: int, *, seed: int) -> list[Bytes]:
    """Return sprites, RGB 32x32 on a ground, drawn from the training split by the seed."""
    split = Dataset.open(path).split("train")
    sprites = []
    for number, index in enumerate(derive_permutation(seed, "finish", 0, size=len(split))[:count]):
        with Image.open(BytesIO(bytes(split.png_bytes(int(index))))) as image:
            rgba = np.asarray(image.convert("RGBA"))
        ground = np.array(GROUNDS[number % len(GROUNDS)], dtype=np.uint8)
        sprites.append(np.where(rgba[..., 3:] >= 128, rgba[..., :3], ground))
    if not sprites or sprites[0].shape != (NATIVE_PX, NATIVE_PX, 3):
        raise InputError(f"{path}: sprites of {NATIVE_PX} px are needed")
    return sprites


def enlarge(native_HWC: Bytes, *, scale: float, number: int) -> Bytes:
    """Enlarge by nearest neighbour, cut at left and top by a part of the cell around the sprite."""
    padded = np.pad(native_HWC, ((1, 1), (1, 1), (0, 0)), mode="edge")
    side = int((NATIVE_PX + 1) * scale)
    places = [
        np.floor((np.arange(side) + 0.5) / scale + derive_uniform(0, f"offset_{axis}", number))
        for axis in "yx"
    ]
    rows, columns = (place.astype(np.int64) for place in places)
    return np.ascontiguousarray(padded[rows][:, columns])


def degrade(image_HWC: Bytes, condition: str, *, number: int) -> Bytes:
    """Blur, then noise, then compression: those the condition names."""
    image = Image.fromarray(image_HWC)
    if condition in {"blur", "all"}:
        image = image.filter(ImageFilter.GaussianBlur(1.0))
    if condition in {"noise", "all"}:
        rng = np.random.Generator(np.random.Philox(key=derive_seed(0, "grain", number)))
        noisy = np.asarray(image) + rng.normal(0, 8, image_HWC.shape)
        image = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    if condition in {"jpeg", "all"}:
        buffer = BytesIO()
        image.save(buffer, format="JPEG", quality=80)
        image = Image.open(buffer).convert("RGB")
    return np.array(image)


def recovered(result_HWC: Bytes | None, native_HWC: Bytes) -> tuple[float, float]:
    """Return the shares of native pixels within the tolerance, and of the same palette entry."""
    if result_HWC is None or not _is_reduced(result_HWC):
        return 0.0, 0.0
    palette = torch.from_numpy(np.unique(native_HWC.reshape(-1, 3), axis=0))
    flat = torch.from_numpy(np.ascontiguousarray(result_HWC[..., :3]).reshape(-1, 3))
    index, _ = nearest(to_oklab(flat), to_oklab(palette))
    lab = to_oklab(palette)[index].numpy().reshape(*result_HWC.shape[:2], 3).astype(np.int64)
    # Farther from every colour than the tolerance: what is missing is not recovered.
    framed = np.pad(lab, ((MARGIN, MARGIN),) * 2 + ((0, 0),), constant_values=10**6)
    true = to_oklab(torch.from_numpy(native_HWC)).numpy().astype(np.int64)
    best = (0.0, 0.0)
    for y in range(framed.shape[0] - NATIVE_PX + 1):
        for x in range(framed.shape[1] - NATIVE_PX + 1):
            away = ((framed[y : y + NATIVE_PX, x : x + NATIVE_PX] - true) ** 2).sum(axis=2)
            near, same = away <= squared(TOLERANCE), away == 0
            best = max(best, (float(near.mean()), float(same.mean())))
    return best


def _is_reduced(result_HWC: Bytes | None) -> bool:
    return result_HWC is not None and max(result_HWC.shape[:2]) <= MOST_PX


def run_ours(images: list[Bytes]) -> tuple[list[Bytes | None], float]:
    """Return results and seconds; None where the grid was not sure."""
    finisher = Finisher(FinishConfig(grid=GridConfig(enabled=True)), native_size_px=None)
    finisher(images[0][None])
    watch = Stopwatch()
    done = [
        one
        for start in range(0, len(images), BATCH)
        for one in finisher(np.stack(images[start : start + BATCH]))
    ]
    elapsed_s = watch.elapsed_s()
    return [one.pixels if one.record["grid"]["sure"] else None for one in done], elapsed_s


def run_rival(python: Path, tool: str, images: list[Bytes]) -> tuple[list[Bytes | None], float]:
    """Return results and seconds of another package, in its own environment."""
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "in", Path(name) / "out"
        source.mkdir()
        out.mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(source / f"{number:05d}.png")
        script = Path(__file__).parent / "rivals" / "run.py"
        ran = subprocess.run(
            [str(python), str(script), tool, str(source), str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise InputError(f"{python}: {tool} does not run: {ran.stderr.strip()[-300:]}")
        report = json.loads((out / "results.json").read_text())
        results: list[Bytes | None] = []
        for number in range(len(images)):
            file = out / f"{number:05d}.png"
            results.append(_open(file) if file.is_file() else None)
        return results, float(report["time_s"])


def _open(file: Path) -> Bytes:
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


def measure(
    cfg: BenchConfig, should_stop: ShouldStop, *, show: Path
) -> tuple[list[Row], list[str]]:
    """Measure ours, and others where ``rivals`` names their Python.

    Args:
        cfg: Data set, number of sprites, enlargement.
        should_stop: Whether to go.
        show: Folder for one sheet a condition: truth, input, each tool's result.

    Returns:
        Rows named ``<tool>.<condition>.<exact|pixels|same|kept|rate>``, and sentences.
    """
    if cfg.rivals is not None and not cfg.rivals.is_file():
        raise InputError(f"rivals: {cfg.rivals} is no Python; make bench-rivals makes one")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sprites = load_sprites(cfg.data.path, cfg.num_images, seed=SEED)
        rows: list[Row] = []
        for condition in CONDITIONS:
            look(should_stop)
            images = [
                degrade(enlarge(native, scale=cfg.scale, number=number), condition, number=number)
                for number, native in enumerate(sprites)
            ]
            results = {"ours": run_ours(images)}
            for tool in RIVALS if cfg.rivals else ():
                results[tool] = run_rival(cfg.rivals or Path(), tool, images)
            for tool, (found, time_s) in results.items():
                rows += _rows(f"{tool}.{condition}", found, sprites, time_s=time_s)
            _show(show / f"{condition}.png", sprites, images, results)
    finally:
        torch.set_num_threads(before)
    return rows, [_sentence(rows)]


def _rows(
    name: str, found: list[Bytes | None], sprites: list[Bytes], *, time_s: float
) -> list[Row]:
    shares = [recovered(*pair) for pair in zip(found, sprites, strict=True)]
    kept = sum(not _is_reduced(one) for one in found)
    return [
        row(f"{name}.exact", [float(np.mean([near == 1.0 for near, _ in shares]))], unit="share"),
        row(f"{name}.pixels", [float(np.mean([near for near, _ in shares]))], unit="share"),
        row(f"{name}.same", [float(np.mean([same for _, same in shares]))], unit="share"),
        row(f"{name}.kept", [float(kept)], unit="images", higher_is_better=False),
        row(f"{name}.rate", [len(found) / time_s], unit="img/s", warmup=1),
    ]


def _sentence(rows: list[Row]) -> str:
    told = {each.name: each.median for each in rows}
    tools = ["ours", *(tool for tool in RIVALS if f"{tool}.all.exact" in told)]
    return "all damages at once: " + "; ".join(
        f"{tool} {100 * (told[f'{tool}.all.exact'] or 0):.0f} % of images exact, "
        f"{100 * (told[f'{tool}.all.pixels'] or 0):.0f} % of pixels, "
        f"{told[f'{tool}.all.rate']} img/s"
        for tool in tools
    )


def _show(
    file: Path,
    sprites: list[Bytes],
    images: list[Bytes],
    results: dict[str, tuple[list[Bytes | None], float]],
) -> None:
    """Write a sheet: truth, input, each tool's result, a column an image."""
    side = (MOST_PX, MOST_PX)
    series: list[Sequence[Bytes | None]] = [sprites, images, *(one for one, _ in results.values())]
    cells = []
    for images_of_row in series:
        for image in images_of_row[:12]:
            picture = Image.new("RGB", side) if image is None else Image.fromarray(image)
            cells.append(picture if max(picture.size) <= MOST_PX else picture.resize(side))
    file.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(cells, columns=min(12, len(sprites)), enlarge=2).save(file)
