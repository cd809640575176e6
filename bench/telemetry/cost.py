"""Energy and money, from a run's sums to one image and one LoRA."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the user pays; None: not told."""

    per_gpu_hour: float | None = None
    per_kwh: float | None = None
    currency: str = "EUR"


def with_cost(
    totals: Mapping[str, Any], prices: Prices, *, num_images: int | None, num_loras: int | None
) -> dict[str, Any]:
    """Return a run's sums with kWh, cost, and the share of one image and one LoRA.

    Args:
        totals: ``gpu_hours``, ``cpu_hours`` and ``energy_j``, None where unknown; taken over.
        prices: What a GPU-hour and a kWh cost.
        num_images: Images the run made or trained on; None or 0: no share of one.
        num_loras: LoRAs it made.
    """
    energy_j, gpu_hours = totals["energy_j"], totals["gpu_hours"]
    energy_kwh = None if energy_j is None else energy_j / J_PER_KWH
    priced = [
        (name, amount, price)
        for name, amount, price in (
            ("GPU-hours", gpu_hours or None, prices.per_gpu_hour),
            ("energy", energy_kwh, prices.per_kwh),
        )
        if price is not None
    ]
    known = [amount * price for _, amount, price in priced if amount is not None]
    cost = sum(known) if known else None
    whole = {
        "gpu_hours": gpu_hours,
        "cpu_hours": totals.get("cpu_hours"),
        "energy_j": energy_j,
        "energy_kwh": energy_kwh,
        "cost": cost,
    }
    told = dict(totals) | {
        "energy_kwh": _short(energy_kwh),
        "cost": _short(cost),
        "currency": prices.currency if cost is not None else None,
        "cost_of": _cost_of(priced),
    }
    for key, count in (("per_image", num_images), ("per_lora", num_loras)):
        if count:
            told[key] = {"count": count} | {k: _share(value, count) for k, value in whole.items()}
    return told


def _cost_of(priced: list[tuple[str, float | None, float]]) -> str:
    told = [name if amount is not None else f"{name} (none known)" for name, amount, _ in priced]
    return ", ".join(told) or "no price is set"


def _share(value: float | None, count: int) -> float | None:
    return None if value is None else _short(value / count)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
