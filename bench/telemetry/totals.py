"""A run's sums over its attempts, with how much of the run they speak for."""

from collections.abc import Mapping, Sequence
from typing import Any

S_PER_H = 3600.0


def add_up(attempts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum what the attempts of a run were metered at.

    Args:
        attempts: As in ``run.json``: ``telemetry`` is a ``summarise``, absent where none was kept;
            ``elapsed_s`` is absent where the attempt was killed; ``num_gpus``, ``num_nodes``.
    """
    metered = [attempt for attempt in attempts if attempt.get("telemetry")]
    told = [attempt["telemetry"] for attempt in metered]
    elapsed_s = [_elapsed_s(attempt) for attempt in attempts]
    energies = [one["energy_j"] for one in told if one["energy_j"] is not None]
    gpu_s = sum(
        s * int(attempt.get("num_gpus", 0)) for s, attempt in zip(elapsed_s, attempts, strict=True)
    )
    return {
        "coverage": _coverage(attempts, metered, sum(elapsed_s)),
        "sources": sorted({source for one in told for source in one["sources"]}),
        "gpu_hours": round(gpu_s / S_PER_H, 6),
        "cpu_hours": _sum([one["cpu_s"] for one in told], scale=1 / S_PER_H),
        "energy_j": round(sum(energies), 3) if energies else None,
        "energy_of": next((one["energy_of"] for one in told if one["energy_of"]), None),
        "energy_why": _energy_why(told, len(energies), len(attempts)),
        "rss_peak_mib": _max(one["rss_peak_mib"] for one in told),
        "vram_peak_mib": _max(one["vram_peak_mib"] for one in told),
        "throttled_s": _sum_maps([one["throttled_s"] for one in told]),
        "xids": sorted({xid for one in told for xid in one["xids"]}),
    }


def _elapsed_s(attempt: Mapping[str, Any]) -> float:
    """How long an attempt ran; of a killed one, what its last sample says."""
    sampled_s = (attempt.get("telemetry") or {}).get("sampled_s", 0.0)
    return float(attempt.get("elapsed_s") or sampled_s)


def _coverage(
    attempts: Sequence[Mapping[str, Any]], metered: Sequence[Mapping[str, Any]], run_s: float
) -> dict[str, Any]:
    nodes = sum(int(attempt.get("num_nodes", 1)) for attempt in attempts)
    sampled_s = sum(min(a["telemetry"]["sampled_s"], _elapsed_s(a)) for a in metered)
    gpu_s = sum(_elapsed_s(a) * int(a.get("num_gpus", 0)) for a in attempts)
    seen_s = sum(a["telemetry"]["gpu_s"] for a in metered)
    return {
        "attempts": f"{len(metered)} of {len(attempts)}",
        "nodes": f"{sum(a['telemetry']['nodes'] for a in metered)} of {nodes}",
        "time": round(min(1.0, sampled_s / run_s), 4) if run_s else None,
        "gpu_time": round(min(1.0, seen_s / gpu_s), 4) if gpu_s else None,
    }


def _energy_why(told: Sequence[Mapping[str, Any]], num_known: int, num_attempts: int) -> str | None:
    why = next((one["energy_why"] for one in told if one["energy_why"]), None)
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
