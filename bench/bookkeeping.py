"""What it costs to number, write, record and resume images, with a model that costs nothing.

    python -m bench.bookkeeping 2000 10000 50000

Each count is made from nothing, then asked for again when it is whole. The last line is JSON.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.core.metrics import NullTracker
from pipeline.core.rundir import RunDir
from pipeline.core.timing import Stopwatch
from pipeline.core.world import World
from pipeline.generate.conf import GateConfig, GenerateConfig
from pipeline.generate.loop import make_all
from pipeline.generate.verify import check_run
from pipeline.generate.work import Item, build_work
from pipeline.models.conf import FamilyName, ModelConfig

SIZE_PX = 32
PROMPTS = 100


def null_model(items: list[Item], *, attempt: int) -> Tensor:
    """Return noise: what compresses worst and has no near-duplicates."""
    generator = torch.Generator().manual_seed(items[0].index * 8 + attempt)
    shape = (len(items), SIZE_PX, SIZE_PX, 4)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    pixels[..., 3] = 255
    return pixels


def measure(num_images: int, folder: Path) -> dict[str, float | int]:
    """Make ``num_images``, ask again, verify; return seconds of each."""
    cfg = GenerateConfig(
        model=ModelConfig(family=FamilyName.pixelnano),
        prompts=[f"prompt {i}" for i in range(PROMPTS)],
        num_seeds=num_images // PROMPTS,
        gates=GateConfig(near_duplicate_bits=4),
    )
    run_dir = RunDir(folder)
    work = build_work(cfg)

    def make() -> None:
        outcome = make_all(
            cfg,
            work,
            null_model,
            model_sha256="0" * 64,
            loras=[[]],
            world=World(),
            run_dir=run_dir,
            tracker=NullTracker(),
            should_stop=lambda: False,
        )
        assert outcome.finished

    watch = Stopwatch()
    make()
    made_s = watch.lap_s()
    make()
    resumed_s = watch.lap_s()
    assert list(check_run(run_dir)) == []
    return {
        "num_images": num_images,
        "make_s": round(made_s, 2),
        "make_ms_an_image": round(1e3 * made_s / num_images, 3),
        "resume_s": round(resumed_s, 2),
        "resume_ms_an_image": round(1e3 * resumed_s / num_images, 3),
        "verify_s": round(watch.lap_s(), 2),
    }


def main() -> int:
    """Measure each count and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.bookkeeping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("counts", type=int, nargs="*", default=[2000, 10000], help="images")
    parser.add_argument("--dir", type=Path, help="where to write (default: a temporary folder)")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for count in arguments.counts:
        with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
            rows.append(measure(count, Path(folder) / "run"))
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    print(json.dumps({"bench": "bookkeeping", "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
