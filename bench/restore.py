"""Damaged, enlarged sprites back to native pixels and up again, ours beside plain resizing.

    python -m bench.restore data/sprites32 data/tiles32 --count 12
    make learned-scaler && python -m bench.restore data/sprites32 --count 24 --denoise 0.04

Held-out images, sprites on a plain ground, are enlarged by 8 and by 6.4 (nearest neighbour), then
blurred (Gaussian, 1 px), or noised (Gaussian, 16 of 255), or compressed (JPEG, 80 or 50), or all of
it. Each method's picture is compared with the clean enlarged one: PSNR of the mean squared error
over all images, mean SSIM. "Exact" are images whose native bytes are all right, "near" those with
every pixel within 0.05 (OKLab). "Down, up" are resized to 32 px and back: they are told the native
size, which ours finds out; a picture ours is not sure of counts as it came in. "Own palette" is
told the image's colours, as a game's palette would be. The second table is about scalers from clean
native pixels: how far they depart from nearest neighbour, which is what pixel art means. One
thread. The last line of stdout is the JSON.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.damaged import (
    DAMAGES,
    NOISE,
    PLAIN,
    RESAMPLE,
    Art,
    Found,
    damage,
    enlarged,
    fits,
    load_art,
    ours,
    resized,
)
from eval.similarity import compare, psnr_db
from pipeline.core.errors import InputError, one_line_errors
from pipeline.core.files import write_atomic
from pipeline.core.picture import png_bytes
from pipeline.core.sheet import contact_sheet
from pipeline.core.timing import Stopwatch
from pipeline.generate.conf import SamplerConfig
from pipeline.generate.denoise import Denoiser
from pipeline.models.conf import FamilyName, ModelConfig
from pipeline.models.pixelnano import ASSETS
from pipeline.models.registry import load_model
from pipeline.pixels.learned import PYTHON, enlarge_learned
from pipeline.pixels.oklab import Bytes, squared, to_oklab
from pipeline.pixels.scale import Scaler, enlarge

SCALES = (8.0, 6.4)
TOLERANCE = 0.05


def measure(
    art: Sequence[Art],
    *,
    denoiser: Denoiser | None,
    sigma: float,
    show: dict[str, list[Bytes]],
) -> list[dict[str, Any]]:
    """Return one row a scale, damage and method; ``show`` receives pictures of the worst damage."""
    rows = []
    for scale in SCALES:
        sides = [[int(side * scale) for side in one.native_HWC.shape[:2]] for one in art]
        clean = [
            enlarged(one.native_HWC, (side[0], side[1]))
            for one, side in zip(art, sides, strict=True)
        ]
        for kind in DAMAGES:
            images = [damage(image, kind, number=i, sigma=sigma) for i, image in enumerate(clean)]
            results: dict[str, tuple[Found, list[Bytes]]] = {
                "as it came": ([None] * len(art), images)
            }
            for name, method in PLAIN.items():
                pairs = [
                    method(image, one.native_HWC) for image, one in zip(images, art, strict=True)
                ]
                results[name] = ([small for small, _ in pairs], [big for _, big in pairs])
            for name, found in ours(images, art, denoiser).items():
                bigs = [
                    image if native is None else enlarged(native, image.shape[:2])
                    for native, image in zip(found, images, strict=True)
                ]
                results[name] = (found, bigs)
            for name, (found, bigs) in results.items():
                rows.append(
                    {"scale": scale, "damage": kind, "method": name}
                    | _figures(art, clean, found, bigs)
                )
            if (scale, kind) == (SCALES[0], DAMAGES[-1]):
                show |= {name: bigs for name, (_, bigs) in results.items()} | {"truth": clean}
                natives = results["ours, auto palette"][0]
                show["ours, native"] = [
                    one.native_HWC * 0 if native is None else native
                    for one, native in zip(art, natives, strict=True)
                ]
    return rows


def _figures(
    art: Sequence[Art], clean: Sequence[Bytes], found: Found, bigs: Sequence[Bytes]
) -> dict[str, Any]:
    alike = [compare(big, true) for big, true in zip(bigs, clean, strict=True)]
    away = [
        _apart(small, one.native_HWC) if fits(small, one) else None
        for small, one in zip(found, art, strict=True)
    ]
    decibels = psnr_db(float(np.mean([one.mse for one in alike])))
    return {
        "psnr_db": None if np.isinf(decibels) else round(decibels, 2),
        "ssim": round(float(np.mean([one.ssim for one in alike])), 4),
        "exact_share": round(float(np.mean([pair is not None and pair[0] for pair in away])), 4),
        "near_share": round(float(np.mean([pair is not None and pair[1] for pair in away])), 4),
        "not_sure": sum(one is None for one in found),
    }


def _apart(native_HWC: Bytes | None, truth_HWC: Bytes) -> tuple[bool, bool]:
    """Return whether all bytes are right, and whether all pixels are near."""
    assert native_HWC is not None, "fits"
    labs = [to_oklab(torch.from_numpy(side.copy())) for side in (native_HWC, truth_HWC)]
    away = ((labs[0] - labs[1]).to(torch.int64) ** 2).sum(dim=-1)
    return bool(np.array_equal(native_HWC, truth_HWC)), bool((away <= squared(TOLERANCE)).all())


def measure_scalers(art: Sequence[Art], *, python: Path | None) -> list[dict[str, Any]]:
    """Return one row a scaler and factor: how far it departs from nearest neighbour."""
    rows = []
    natives = [one.native_HWC for one in art]
    for factor in (2, 4):
        truth = [enlarge(native, factor) for native in natives]
        results = {
            "scale2x": [enlarge(native, factor, Scaler.scale2x) for native in natives],
            "bicubic": [
                resized(one, (one.shape[1] * factor, one.shape[0] * factor), RESAMPLE.BICUBIC)
                for one in natives
            ],
        }
        if python is not None:
            results["learned"] = enlarge_learned(natives, factor, python=python)
        for name, bigs in results.items():
            alike = [compare(*pair) for pair in zip(bigs, truth, strict=True)]
            new = [_num_colours(b) / _num_colours(n) for b, n in zip(bigs, natives, strict=True)]
            rows.append(
                {
                    "factor": factor,
                    "scaler": name,
                    "psnr_db": round(psnr_db(float(np.mean([one.mse for one in alike]))), 2),
                    "ssim": round(float(np.mean([one.ssim for one in alike])), 4),
                    "colours_times": round(float(np.mean(new)), 1),
                }
            )
    return rows


def _num_colours(image_HWC: Bytes) -> int:
    return len(np.unique(image_HWC.reshape(-1, image_HWC.shape[2]), axis=0))


def print_rows(rows: list[dict[str, Any]], scalers: list[dict[str, Any]]) -> None:
    """Print both tables."""
    print(f"{'scale':<6}{'damage':<8}{'method':<30}{'PSNR dB':>8}{'SSIM':>8}", end="")
    print(f"{'exact':>7}{'near':>7}{'unsure':>7}")
    for row in rows:
        print(
            f"{row['scale']:<6}{row['damage']:<8}{row['method']:<30}{_decibels(row):>8}"
            f"{row['ssim']:>8.4f}{row['exact_share']:>7.0%}{row['near_share']:>7.0%}"
            f"{row['not_sure']:>7}"
        )
    print(f"\n{'factor':<8}{'scaler':<10}{'PSNR dB':>8}{'SSIM':>8}{'colours':>9}")
    for row in scalers:
        print(
            f"{row['factor']:<8}{row['scaler']:<10}{_decibels(row):>8}{row['ssim']:>8.4f}"
            f"{row['colours_times']:>8.1f}x"
        )


def _decibels(row: dict[str, Any]) -> str:
    return "same" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}"


def write_pictures(folder: Path, show: dict[str, list[Bytes]], *, python: Path | None) -> None:
    """Write ``damaged/`` and ``sheet.png``, a row an image.

    Columns: damaged, bicubic, ours, the original, ours enlarged by Scale2x, and by the learned
    scaler where it is.
    """
    natives = show["ours, native"]
    columns = [show[key] for key in ("as it came", "bicubic down, up", "ours, auto palette")]
    columns += [show["truth"], [enlarge(one, 4, Scaler.scale2x) for one in natives]]
    if python is not None:
        columns.append(enlarge_learned(natives, 4, python=python))
    side = columns[0][0].shape[1], columns[0][0].shape[0]
    cells = [
        resized(one, side, RESAMPLE.NEAREST) for row in zip(*columns, strict=True) for one in row
    ]
    files = {
        "sheet.png": contact_sheet(
            [Image.fromarray(c) for c in cells], columns=len(columns), enlarge=1
        )
    }
    files |= {f"damaged/{i:03d}.png": Image.fromarray(one) for i, one in enumerate(columns[0])}
    for name, picture in files.items():
        write_atomic(folder / name, png_bytes(picture))


def build_denoiser(strength: float, *, adds_noise: bool) -> Denoiser:
    """Load the embedded model."""
    model = load_model(ModelConfig(family=FamilyName.pixelnano, path=ASSETS), device="cpu")
    sampler = SamplerConfig(num_steps=50)
    return Denoiser(model, sampler=sampler, strength=strength, adds_noise=adds_noise)


@one_line_errors
def main() -> int:
    """Print the tables and the JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.restore", description=__doc__)
    add = parser.add_argument
    add("datasets", type=Path, nargs="+", help="as jobs.prepare makes them")
    add("--count", type=int, default=12, help="images over all data sets (12)")
    add("--noise", type=float, default=NOISE, help=f"of 255, standard deviation ({NOISE:.0f})")
    add("--denoise", type=float, help="strength of a diffusion clean-up, such as 0.04; slow")
    add("--add-noise", action="store_true", help="to the clean-up's picture, as SDEdit does")
    add("--learned", type=Path, help=f"Python of the learned scaler ({PYTHON} where it is)")
    add("--show", type=Path, help="folder for pictures of the worst damage at factor 8")
    given = parser.parse_args()
    if given.count < 1:
        raise InputError(f"--count: {given.count} is below 1")
    torch.set_num_threads(1)
    watch = Stopwatch()
    art = load_art(given.datasets, given.count)
    strength = given.denoise
    denoiser = build_denoiser(strength, adds_noise=given.add_noise) if strength else None
    show: dict[str, list[Bytes]] = {}
    rows = measure(art, denoiser=denoiser, sigma=given.noise, show=show)
    python = given.learned or (PYTHON if PYTHON.is_file() else None)
    scalers = measure_scalers(art, python=python)
    print_rows(rows, scalers)
    if given.show is not None:
        write_pictures(given.show, show, python=python)
    about = {"machine": platform.machine(), "torch": torch.__version__, "num_threads": 1}
    result = {"bench": "restore", "num_images": len(art), "noise": given.noise, "denoise": strength}
    result |= {"adds_noise": given.add_noise, "time_s": round(watch.elapsed_s(), 1)}
    print(json.dumps(result | about | {"rows": rows, "scalers": scalers}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
