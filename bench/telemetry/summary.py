"""From the samples of an attempt to a few figures; from all attempts of a run to its sums."""

import json
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.telemetry.counters import Growth
from bench.telemetry.fields import BY_NAME, CLOCK_REASONS, HARMLESS_REASONS, Kind
from bench.telemetry.sampler import FORMAT

MAX_NOTES = 5
PACKAGES = "CPU packages"
DCGM = "dcgm"
"""The source that leaves the field of XIDs blank until there is one."""


@dataclass(slots=True)
class Device:
    """One GPU's, or the host's, samples of one attempt, summed up as they come."""

    # Plain doubles: a day of samples is some 17000 of each level and GPU.
    levels: dict[str, "array[float]"] = field(default_factory=dict)
    growth: dict[str, Growth] = field(default_factory=dict)
    reasons_s: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    seen_s: float = 0.0
    """Time between samples that both told something."""
    num_told: int = 0
    """Samples that told something."""
    _at_s: float | None = None

    def add(self, values: Mapping[str, float], at_s: float, *, gap_s: float) -> None:
        """Take a sample; a longer pause than ``gap_s`` before it was not watched."""
        step_s = 0.0 if self._at_s is None else at_s - self._at_s
        step_s = step_s if step_s <= gap_s else 0.0
        self.seen_s += step_s
        self._at_s = at_s
        self.num_told += bool(values)
        for name, value in values.items():
            known = BY_NAME.get(name)
            if known is None:
                continue
            if known.kind is Kind.counter:
                self.growth.setdefault(name, Growth(known.max_per_s)).add(value, at_s)
            elif known.kind is Kind.gauge:
                self.levels.setdefault(name, array("d")).append(value)
            elif known.kind is Kind.bits:
                self._add_reasons(int(value), step_s)
            else:
                self._add_event(name, value)

    def note_blank_xid(self) -> None:
        """Take it that there was no XID, where a source leaves the field blank until the first.

        Not from the first sample alone: the field may be read later than the others.
        """
        if self.num_told > 1:
            self.last.setdefault("xid", 0.0)

    @property
    def counted(self) -> dict[str, float]:
        """What counters grew by, of those that were read more than once."""
        return {name: growth.total for name, growth in self.growth.items() if growth.is_known}

    def _add_reasons(self, bits: int, step_s: float) -> None:
        for bit, reason in CLOCK_REASONS.items():
            if bits & bit:
                self.reasons_s[reason] = self.reasons_s.get(reason, 0.0) + step_s

    def _add_event(self, name: str, value: float) -> None:
        # What it stood at before the job is not the job's.
        if value and value != self.last.get(name, value):
            self.events.append(int(value))
        self.last[name] = value


@dataclass(slots=True)
class Segment:
    """What one node wrote in one attempt."""

    head: dict[str, Any]
    host: Device = field(default_factory=Device)
    gpus: dict[str, Device] = field(default_factory=dict)
    num_samples: int = 0
    num_lost: int = 0
    """Lines that are torn, or that a full disk took."""
    last_s: float = 0.0
    ended: bool = False
    """Whether it was told to stop, rather than killed."""
    own_cpu_s: float | None = None
    """CPU time of the sampling itself."""
    notes: list[str] = field(default_factory=list)

    @property
    def gap_s(self) -> float:
        """A pause between samples that is too long to speak for."""
        return 3.0 * float(self.head.get("interval_s", 1.0)) + 1.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a line.

        Raises:
            KeyError, TypeError, ValueError: It is not one that ``Sampler`` wrote.
        """
        at_s = float(row["t_s"])
        # What is found out later than the first line was written.
        self.head |= row.get("about", {})
        if row["host"]:
            self.host.add(row["host"], at_s, gap_s=self.gap_s)
        for uuid, values in row["gpus"].items():
            gpu = self.gpus.setdefault(uuid, Device())
            gpu.add(values, at_s, gap_s=self.gap_s)
            if self.head.get("source") == DCGM:
                gpu.note_blank_xid()
        self.num_samples += 1
        self.last_s = at_s
        self.num_lost += int(row.get("lost_rows", 0))
        self.ended = self.ended or bool(row.get("end"))
        self.own_cpu_s = row.get("own_cpu_s", self.own_cpu_s)
        if "note" in row:
            self.notes.append(str(row["note"]))


def read_segments(path: Path, *, only: Collection[str] | None = None) -> Iterator[Segment]:
    """Read a node's file, line by line.

    Args:
        path: File that a ``Sampler`` wrote; a torn or foreign line is counted and left out.
        only: Attempts to read; the lines of others are not looked into. None: all.
    """
    segment: Segment | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith('{"format"'):
                if segment is not None:
                    yield segment
                segment = _begin(line, only)
            elif segment is not None and line.strip():
                try:
                    segment.add(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    segment.num_lost += 1
    if segment is not None:
        yield segment


def _begin(line: str, only: Collection[str] | None) -> Segment | None:
    try:
        head = json.loads(line)
    except ValueError:
        return None
    wanted = head.get("format") == FORMAT and (only is None or head.get("attempt") in only)
    return Segment(head) if wanted else None


def read_folder(folder: Path, *, only: Collection[str] | None = None) -> dict[str, list[Segment]]:
    """Read every node's file: from an attempt to its segments."""
    found: dict[str, list[Segment]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for segment in read_segments(path, only=only):
            found.setdefault(str(segment.head["attempt"]), []).append(segment)
    return found


def summarise(segments: Sequence[Segment]) -> dict[str, Any]:
    """Sum up an attempt over its nodes and GPUs. Plain JSON; None: not told."""
    gpus = [gpu for segment in segments for gpu in segment.gpus.values()]
    hosts = [segment.host for segment in segments]
    growth = _sum_growth(gpus)
    energy_j, energy_of, why = _energy(gpus, hosts)
    shared = next((s.head["shared"] for s in segments if s.head.get("shared")), None)
    if any(segment.head.get("mig") for segment in segments):
        shared = "MIG: counters are of whole GPUs, which jobs share"
    if shared:
        energy_j, energy_of, why = None, None, shared
    throttled_s = {
        name.removeprefix("throttled_").removesuffix("_s"): round(value, 3)
        for name, value in growth.items()
        if name.startswith("throttled_") and value
    }
    counted = any(name.startswith("throttled_") for name in growth)
    return {
        "sources": sorted({str(segment.head.get("source")) for segment in segments}),
        "scopes": sorted({s.head["scope"] for s in segments if s.head.get("scope")}),
        "nodes": len({segment.head.get("node") for segment in segments}),
        "gpus": len(gpus),
        "samples": sum(segment.num_samples for segment in segments),
        "lost_samples": sum(segment.num_lost for segment in segments),
        "killed": not all(segment.ended for segment in segments),
        "sampled_s": round(max((s.last_s for s in segments), default=0.0), 1),
        "gpu_s": round(sum(gpu.seen_s for gpu in gpus), 1),
        "energy_j": energy_j,
        "energy_of": energy_of,
        "energy_why": why,
        "cpu_energy_j": _total(hosts, "cpu_energy_j"),
        "cpu_s": _total(hosts, "cpu_s"),
        "own_cpu_s": max((s.own_cpu_s for s in segments if s.own_cpu_s is not None), default=None),
        "rss_peak_mib": _peak(hosts, "rss_mib"),
        "vram_peak_mib": _peak(gpus, "vram_used_mib"),
        "levels": {name: _level(gpus, name) for name in _names(gpus)},
        "throttled_s": throttled_s if counted else _from_bits(gpus),
        "throttled_from": "counters" if counted else "samples" if _has_bits(gpus) else None,
        "counters": {
            name: _plain(value)
            for name, value in growth.items()
            if not name.startswith("throttled_") and name != "energy_j"
        },
        "resets": sum(g.num_resets for device in gpus for g in device.growth.values()),
        "xids": sorted({event for gpu in gpus for event in gpu.events}),
        "notes": [note for segment in segments for note in segment.notes][:MAX_NOTES],
    }


def _energy(
    gpus: Sequence[Device], hosts: Sequence[Device]
) -> tuple[float | None, str | None, str | None]:
    """Joules from counters, whose they are, and why there are none or not all."""
    told = [gpu.counted["energy_j"] for gpu in gpus if "energy_j" in gpu.counted]
    if told:
        missing = len(gpus) - len(told)
        why = f"{missing} of {len(gpus)} GPUs told no energy" if missing else None
        return round(sum(told), 3), "GPUs", why
    if any("energy_j" in gpu.growth for gpu in gpus):
        return None, None, "the energy counter was not read twice"
    if gpus:
        return None, None, "the source has no energy counter; power is never summed instead"
    told_by_rapl = _total(hosts, "cpu_energy_j")
    if told_by_rapl is not None:
        return told_by_rapl, f"{PACKAGES} of the node (RAPL), other jobs' share included", None
    return None, None, "no GPU is the job's or answers, and RAPL cannot be read here"


def _sum_growth(devices: Iterable[Device]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for device in devices:
        for name, value in device.counted.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _total(devices: Sequence[Device], name: str) -> float | None:
    found = [device.counted[name] for device in devices if name in device.counted]
    return round(sum(found), 2) if found else None


def _peak(devices: Sequence[Device], name: str) -> float | None:
    return max((max(d.levels[name]) for d in devices if name in d.levels), default=None)


def _names(gpus: Sequence[Device]) -> list[str]:
    return sorted({name for gpu in gpus for name in gpu.levels})


def _level(gpus: Sequence[Device], name: str) -> dict[str, float]:
    # Loaded here: who submits a job imports this file, and answers at once.
    import numpy as np

    values = np.concatenate([gpu.levels[name] for gpu in gpus if name in gpu.levels])
    figures = {"mean": values.mean(), "p95": np.quantile(values, 0.95), "max": values.max()}
    return {key: float(f"{value:.5g}") for key, value in figures.items()}


def _from_bits(gpus: Sequence[Device]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for gpu in gpus:
        for reason, seconds in gpu.reasons_s.items():
            if reason not in HARMLESS_REASONS and seconds:
                sums[reason] = round(sums.get(reason, 0.0) + seconds, 3)
    return sums


def _has_bits(gpus: Sequence[Device]) -> bool:
    return any(gpu.reasons_s for gpu in gpus)


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 3)
