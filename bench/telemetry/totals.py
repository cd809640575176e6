"""A run's sums over its attempts, with how much of the run they speak for."""

from collections.abc import Mapping, Sequence
from typing import Any

S_PER_H = 3600.0
LEAST_GPU_TIME = 0.95
"""Share of the GPU time below which the energy is not that of the run."""


def add_up(attempts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum what the attempts of a run were metered at.

    Args:
        attempts: As in ``run.json``: ``telemetry`` is a ``summarise``, absent where none was kept;
            ``elapsed_s`` is absent where the attempt was killed; ``num_nodes``; ``num_gpus``, None
            where they were slices, which are no number of GPUs.
    """
    metered = [attempt for attempt in attempts if attempt.get("telemetry")]
    told = [attempt["telemetry"] for attempt in metered]
    elapsed_s = [_elapsed_s(attempt) for attempt in attempts]
    energies = [one["energy_j"] for one in told if one["energy_j"] is not None]
    gpu_s = _gpu_s(attempts)
    coverage = _coverage(attempts, metered, run_s=sum(elapsed_s), gpu_s=gpu_s)
    return {
        "coverage": coverage,
        "sources": sorted({source for one in told for source in one["sources"]}),
        "scopes": sorted({scope for one in told for scope in one.get("scopes", [])}),
        "gpu_hours": None if gpu_s is None else round(gpu_s / S_PER_H, 6),
        "cpu_hours": _sum([one["cpu_s"] for one in told], scale=1 / S_PER_H),
        "energy_j": round(sum(energies), 3) if energies else None,
        "energy_of": next((one["energy_of"] for one in told if one["energy_of"]), None),
        "energy_why": _energy_why(told, len(energies), len(attempts), coverage["gpu_time"]),
        "rss_peak_mib": _max(one["rss_peak_mib"] for one in told),
        "vram_peak_mib": _max(one["vram_peak_mib"] for one in told),
        "throttled_s": _sum_maps([one["throttled_s"] for one in told]),
        "xids": sorted({xid for one in told for xid in one["xids"]}),
    }


def _elapsed_s(attempt: Mapping[str, Any]) -> float:
    """How long an attempt ran; of a killed one, what its last sample says."""
    sampled_s = (attempt.get("telemetry") or {}).get("sampled_s", 0.0)
    return float(attempt.get("elapsed_s") or sampled_s)


def _gpu_s(attempts: Sequence[Mapping[str, Any]]) -> float | None:
    counts = [attempt.get("num_gpus", 0) for attempt in attempts]
    if None in counts:
        return None
    return sum(_elapsed_s(a) * int(count) for a, count in zip(attempts, counts, strict=True))


def _coverage(
    attempts: Sequence[Mapping[str, Any]],
    metered: Sequence[Mapping[str, Any]],
    *,
    run_s: float,
    gpu_s: float | None,
) -> dict[str, Any]:
    nodes = sum(int(attempt.get("num_nodes", 1)) for attempt in attempts)
    sampled_s = sum(min(a["telemetry"]["sampled_s"], _elapsed_s(a)) for a in metered)
    seen_s = sum(a["telemetry"]["gpu_s"] for a in metered)
    return {
        "attempts": f"{len(metered)} of {len(attempts)}",
        "nodes": f"{sum(a['telemetry']['nodes'] for a in metered)} of {nodes}",
        "time": round(min(1.0, sampled_s / run_s), 4) if run_s else None,
        "gpu_time": round(min(1.0, seen_s / gpu_s), 4) if gpu_s else None,
    }


def _energy_why(
    told: Sequence[Mapping[str, Any]], num_known: int, num_attempts: int, gpu_time: float | None
) -> str | None:
    why = next((one["energy_why"] for one in told if one["energy_why"]), None)
    if num_known and gpu_time is not None and gpu_time < LEAST_GPU_TIME:
        seen = f"only {100 * gpu_time:.3g} % of the GPU time was seen"
        why = f"{seen}; {why}" if why else seen
    if num_known and num_known < num_attempts:
        return f"{num_attempts - num_known} of {num_attempts} attempts not known" + (
            f" ({why})" if why else ""
        )
    return why if told else "no attempt was metered"


def _sum(values: Sequence[float | None], *, scale: float = 1.0) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) * scale, 6) if known else None


def _max(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum_maps(maps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one in maps:
        for name, value in one.items():
            sums[name] = round(sums.get(name, 0.0) + value, 3)
    return sums
