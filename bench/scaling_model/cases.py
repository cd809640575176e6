"""What is predicted for DGX B200: three trainings, two generations, and what a step costs.

Work was counted by ``counts`` (a test holds these numbers to it). Time on one GPU is a roofline of
that work unless a bench file says what was measured: **not measured on GPU**.
"""

import math
from dataclasses import dataclass

from bench.record import BenchResult, Row
from bench.scaling_model.assume import Assumptions
from bench.scaling_model.hardware import BF16_REACHED, GB, HBM, LAUNCH
from bench.scaling_model.predict import Generating, Training
from pipeline.core.errors import InputError

TERA = 1e12
NORMAL_P95 = 1.645
"""Standard deviations from the median to the 95th percentile."""
OPTIMIZER_TOUCHES = 10
"""fp32 reads and writes a weight a step: 7 of AdamW (gradient; weight and both moments, each read
and written), 3 of the average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainWork:
    """One kind of training."""

    name: str
    title: str
    batch_size: int
    """Images a GPU."""
    flop_per_image: float
    calls: int
    """Operations a step, whatever its batch."""
    gradient_bytes: int
    num_tensors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawWork:
    """One kind of generation."""

    name: str
    title: str
    batch_size: int
    flop_per_image: float
    calls: int
    """Operations a batch, whatever its size."""
    weight_bytes: int
    image_bytes: int


NUM_STEPS = 25
"""Of the default sampler; with guidance each is two network calls an image."""

TRAININGS = (
    TrainWork(
        name="sdxl_lora",
        title="SDXL 1024 px, LoRA of rank 16",
        batch_size=8,
        flop_per_image=4.878951e12 + 0.111162e12 + 14.187923e12,
        calls=119 + 1209 + 13088,
        gradient_bytes=92_897_280,
        num_tensors=1120,
    ),
    TrainWork(
        name="sdxl_full",
        title="SDXL 1024 px, all weights",
        batch_size=8,
        flop_per_image=4.878951e12 + 0.333478e12 + 20.230842e12,
        calls=119 + 2981 + 7832,
        gradient_bytes=10_269_854_736 + 4 * (123_060_480 + 694_659_840),
        num_tensors=1680 + 196 + 517,
    ),
    TrainWork(
        name="pixelnano_lora",
        title="pixelnano 32 px, LoRA of rank 16",
        batch_size=64,
        flop_per_image=1.253644e9,
        calls=1558,
        gradient_bytes=1_060_864,
        num_tensors=112,
    ),
)
"""``flop_per_image``: VAE encoder, text encoders and UNet. SDXL's batch of 8 is our choice."""

DRAWINGS = (
    DrawWork(
        name="sdxl",
        title="SDXL 1024 px to 128 px sprites",
        batch_size=16,
        flop_per_image=2 * NUM_STEPS * 6.761236e12 + 10.470393e12,
        calls=NUM_STEPS * 3402 + 149,
        weight_bytes=2 * (2_567_463_684 + 123_060_480 + 694_659_840 + 83_653_863),
        image_bytes=128 * 128 * 3,
    ),
    DrawWork(
        name="pixelnano",
        title="pixelnano 32 px",
        batch_size=64,
        flop_per_image=2 * NUM_STEPS * 0.659997e9,
        calls=NUM_STEPS * 501,
        weight_bytes=4 * 9_900_000,
        image_bytes=32 * 32 * 4,
    ),
)
"""``weight_bytes``: fp16 files of SDXL, fp32 of pixelnano. ``image_bytes``: before compression."""


def roofline_s(flop: float, calls: int, *, share: float) -> float:
    """Return the least time of so much work in so many calls.

    Args:
        flop: Operations.
        calls: Launches, one after another.
        share: Of the fastest matmul's rate that the work reaches; 1 is the bound.
    """
    return max(flop / (share * BF16_REACHED.value * TERA), calls * LAUNCH.value)


def training(
    work: TrainWork,
    assumed: Assumptions,
    *,
    batch_size: int,
    row: Row | None = None,
) -> Training:
    """Return a step of ``batch_size`` images on one B200.

    What is more than ``work.batch_size`` is accumulated, so many at a time.

    Args:
        work: What is trained.
        assumed: Of the roofline, and of the spread where that was not measured.
        batch_size: Images a GPU.
        row: A step of ``work.batch_size`` images as it was measured; other sizes are taken in
            proportion, but not below the launches. None: the roofline.

    Raises:
        InputError: The row is empty, or not in ms.
    """
    calls = work.calls * math.ceil(batch_size / work.batch_size)
    launch_s = calls * LAUNCH.value
    if row is None:
        optimizer_s = OPTIMIZER_TOUCHES * work.gradient_bytes / (HBM.value * GB)
        step_s = (
            roofline_s(batch_size * work.flop_per_image, calls, share=assumed.matmul_share)
            + optimizer_s
        )
        spread_s = assumed.spread * step_s
    else:
        whole_s, whole_spread_s = _seconds(row)
        step_s = max(whole_s * batch_size / work.batch_size, min(launch_s, whole_s))
        spread_s = whole_spread_s * step_s / whole_s
    return Training(
        batch_size=batch_size,
        compute_s=step_s,
        host_s=min(launch_s, step_s),
        gradient_bytes=work.gradient_bytes,
        num_tensors=work.num_tensors,
        spread_s=spread_s,
    )


def drawing(work: DrawWork, assumed: Assumptions, *, row: Row | None = None) -> Generating:
    """Return a batch of generation on one B200: as ``row`` measured it, or else the roofline.

    Raises:
        InputError: The row is empty, or not in ms.
    """
    if row is None:
        batch_s = roofline_s(
            work.batch_size * work.flop_per_image, work.calls, share=assumed.matmul_share
        )
        spread_s = assumed.spread * batch_s
    else:
        batch_s, spread_s = _seconds(row)
    return Generating(
        batch_size=work.batch_size,
        batch_s=batch_s,
        spread_s=spread_s,
        start_s=assumed.start_s,
        tail_s_per_image=assumed.tail_s_per_image,
        weight_bytes=work.weight_bytes,
        image_bytes=work.image_bytes,
    )


def find_row(result: BenchResult | None, name: str) -> Row | None:
    """Return the row of that name, if there is one."""
    rows = result.rows if result is not None else ()
    return next((row for row in rows if row.name == name), None)


def _seconds(row: Row) -> tuple[float, float]:
    if row.unit != "ms" or not row.median or row.median < 0:
        raise InputError(
            f"{row.name}: {row.median} {row.unit}; allowed: a measured time above 0 ms"
        )
    spread_ms = max(0.0, (row.p95 or row.median) - row.median) / NORMAL_P95
    return row.median / 1e3, spread_ms / 1e3
