"""The check: 1, 2 and 4 ranks here, and what the model says of 2 and 4 from what 1 took.

Cores are what ranks share on one machine. k ranks of t threads on C cores each get
``min(1, C / (k t))`` of what one rank of t threads has alone, so::

    compute(k) = compute of one rank of t threads, alone x max(1, k t / C)

with t as jobs.runtime deals threads out: C // k, at least one. Nothing is hidden behind the
backward pass, for adding up takes the same cores.
"""

import dataclasses
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.scaling_model.assume import Assumptions
from bench.scaling_model.predict import (
    Generating,
    Training,
    generate_run,
    train_step,
)  # fmt: skip
from pipeline.core.errors import InputError
from pipeline.core.files import read_json, write_json

ROOT = Path(__file__).parents[2]
RANKS = (1, 2, 4)
TIMEOUT_S = 900
GRACE_S = 40
"""For torch.distributed.run to end its ranks; killed, it would leave them."""
TIMED_OUT = 124
"""What ``timeout`` ends with."""
THREADS_APART = ("OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT=1000")
"""As jobs.runtime sets them: threads that spin take the cores of other ranks."""
WARMUP = 3
"""Steps and sums before those that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much to measure."""

    dataset: str
    batch_sizes: list[int]
    """Images a rank and step: each is measured."""
    num_steps: int
    num_images: int
    """Of generation, over all ranks; a multiple of four, the prompts."""
    draw_batch_size: int
    sampler_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One figure of the check."""

    name: str
    num_ranks: int
    num_threads: int
    measured_img_per_s: list[float]
    """A repeat each."""
    predicted_img_per_s: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one: 0.1 is 10 % too optimistic."""
        return self.predicted_img_per_s / statistics.median(self.measured_img_per_s) - 1


def threads_of(num_ranks: int, num_cores: int) -> int:
    """Return the threads each of so many ranks gets."""
    return max(1, num_cores // num_ranks)


def crowding(num_ranks: int, num_threads: int, num_cores: int) -> float:
    """Return how many times longer work takes where threads outnumber cores; at least 1."""
    return max(1.0, num_ranks * num_threads / num_cores)


def run_ranks(settings: Settings, *, num_ranks: int, num_threads: int, folder: Path) -> Any:
    """Start ranks on this machine and return what the main one saw.

    Raises:
        InputError: A rank failed, or they take too long; the line is what went wrong first.
    """
    path = folder / "settings.json"
    write_json(path, dataclasses.asdict(settings))
    command = [
        "env", f"OMP_NUM_THREADS={num_threads}", *THREADS_APART,
        "timeout", "--foreground", f"--kill-after={GRACE_S}", str(TIMEOUT_S),
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(num_ranks), "-m", "bench.scaling_model.rank", str(path.resolve()),
    ]  # fmt: skip
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, check=False)
    if done.returncode == TIMED_OUT:
        raise InputError(f"{num_ranks} ranks here are not done after {TIMEOUT_S} s")
    if done.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        said = [line for line in lines if "Error" in line] or lines or ["nothing"]
        raise InputError(f"{num_ranks} ranks here failed: {said[0].strip()}")
    return read_json(folder / "measured.json")


def busy_share() -> float:
    """Return the share of this machine's cores that others keep busy now, 0 to 1; takes 2 s."""
    return float(psutil.cpu_percent(interval=2.0)) / 100


def measure(settings: Settings, *, num_cores: int, folder: Path) -> dict[str, Any]:
    """Measure 1, 2 and 4 ranks, and one rank of each number of threads they will have.

    Returns:
        By ``<ranks>x<threads>``: what ``rank`` wrote.
    """
    places = {(n, threads_of(n, num_cores)) for n in RANKS}
    alone = {(1, num_threads) for _, num_threads in places}
    told = {}
    for num_ranks, num_threads in sorted(places | alone):
        name = f"{num_ranks}x{num_threads}"
        print(f"measuring {num_ranks} ranks of {num_threads} threads", flush=True)
        sizes = settings.batch_sizes
        if num_ranks > 1:
            # As it is on one rank (weak), and the same over all ranks (strong).
            sizes = sorted({sizes[0], max(1, sizes[0] // num_ranks)}, reverse=True)
        told[name] = run_ranks(
            dataclasses.replace(settings, batch_sizes=sizes),
            num_ranks=num_ranks,
            num_threads=num_threads,
            folder=_new(folder / name),
        )
    return told


def compare(told: dict[str, Any], *, num_cores: int) -> list[Checked]:
    """Predict every place from the places of one rank, and set it beside what was measured.

    One rank with all cores is its own prediction: it is there as the beginning of the line.
    """
    checked = []
    for place in told.values():
        n, threads = place["num_ranks"], place["num_threads"]
        if threads != threads_of(n, num_cores):
            continue
        alone, crowded = told[f"1x{threads}"], crowding(n, threads, num_cores)
        sizes = sorted(map(int, place["steps"]), reverse=True)
        for kind, size in (("weak", sizes[0]), ("strong", max(1, sizes[0] // n))):
            times_s = place["steps"][str(size)]["times_s"]
            predicted = _predict_step(place, alone["steps"][str(size)], size, crowded)
            checked.append(
                Checked(
                    name=f"train_{kind}",
                    num_ranks=n,
                    num_threads=threads,
                    measured_img_per_s=[n * size / time_s for time_s in times_s],
                    predicted_img_per_s=predicted,
                )
            )
        run = place["generation"]
        checked.append(
            Checked(
                name="generate",
                num_ranks=n,
                num_threads=threads,
                measured_img_per_s=[run["num_images"] / run["total_s"]],
                predicted_img_per_s=_predict_run(n, alone["generation"], crowded),
            )
        )
    return checked


def _predict_step(place: Any, alone: Any, batch_size: int, crowded: float) -> float:
    times_s = {int(size): value for size, value in place["all_reduce_s"].items()}
    case = Training(
        batch_size=batch_size,
        compute_s=crowded * statistics.median(alone["times_s"]),
        host_s=0.0,
        gradient_bytes=alone["gradient_bytes"],
        num_tensors=alone["num_tensors"],
        spread_s=crowded * spread(alone["times_s"]),
        votes=False,
    )
    step = train_step(
        case,
        place["num_ranks"],
        all_reduce=lambda num_bytes, _: times_s[num_bytes],
        assumed=Assumptions(),
    )
    return step.img_per_s


def _predict_run(num_ranks: int, alone: Any, crowded: float) -> float:
    num_images, num_batches = alone["num_images"], len(alone["batches_s"])
    drawn_s = alone["total_s"] - alone["tail_s"]
    case = Generating(
        batch_size=-(-num_images // num_batches),
        batch_s=crowded * drawn_s / num_batches,
        spread_s=crowded * spread(alone["batches_s"]),
        start_s=0.0,
        # Alone at the end the main rank has a core to itself again.
        tail_s_per_image=alone["tail_s"] / num_images,
    )
    return generate_run(case, num_ranks, num_images=num_images, assumed=Assumptions()).img_per_s


def spread(times_s: list[float]) -> float:
    """Return a standard deviation that one outlier does not move: half of what 68 % span."""
    low, high = np.quantile(times_s, [0.16, 0.84])
    return float(high - low) / 2


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def describe_check(checked: list[Checked]) -> str:
    """Return the check as text."""
    lines = [
        "check on this machine, from one rank alone to several:",
        f"{'':<14} {'ranks':>5} {'threads':>7} {'predicted':>10} {'measured':>9} {'error':>7}",
    ]
    for each in checked:
        middle = statistics.median(each.measured_img_per_s)
        error = "given" if each.num_ranks == 1 else f"{each.error:+.1%}"
        lines.append(
            f"{each.name:<14} {each.num_ranks:>5} {each.num_threads:>7} "
            f"{each.predicted_img_per_s:>10.2f} {middle:>9.2f} {error:>7}"
        )
    return "\n".join(lines)
