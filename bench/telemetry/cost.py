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
        totals: ``gpu_hours`` and ``energy_j``, None where unknown; taken over as they are.
        prices: What a GPU-hour and a kWh cost.
        num_images: Images the run made or trained on; None or 0: no share of one.
        num_loras: LoRAs it made.
    """
    energy_j, gpu_hours = totals["energy_j"], totals["gpu_hours"]
    energy_kwh = None if energy_j is None else energy_j / J_PER_KWH
    cost = _cost(gpu_hours, energy_kwh, prices)
    whole = {"gpu_hours": gpu_hours, "energy_j": energy_j, "cost": cost}
    told = dict(totals) | {
        "energy_kwh": _short(energy_kwh),
        "cost": _short(cost),
        "currency": prices.currency if cost is not None else None,
        "cost_of": _cost_of(energy_kwh, prices),
    }
    for key, count in (("per_image", num_images), ("per_lora", num_loras)):
        if count:
            told[key] = {"count": count} | {k: _share(value, count) for k, value in whole.items()}
    return told


def _cost(gpu_hours: float, energy_kwh: float | None, prices: Prices) -> float | None:
    parts = [
        amount * price
        for amount, price in ((gpu_hours, prices.per_gpu_hour), (energy_kwh, prices.per_kwh))
        if amount is not None and price is not None
    ]
    return sum(parts) if parts else None


def _cost_of(energy_kwh: float | None, prices: Prices) -> str:
    parts = [] if prices.per_gpu_hour is None else ["GPU-hours"]
    if prices.per_kwh is not None:
        parts.append("energy" if energy_kwh is not None else "energy not known, not counted")
    return ", ".join(parts) or "no price is set (telemetry.price_per_gpu_hour, price_per_kwh)"


def _share(value: float | None, count: int) -> float | None:
    return None if value is None else _short(value / count)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
