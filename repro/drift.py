"""Say what changed between two smoke runs: versions, machine, code, pictures, speed.

    python -m repro.drift EARLIER NOW

Each is a ``smoke.json``, a run folder that holds one, or a ``bench/baselines/smoke.*.json``. One
line a difference. Exit status 1 when anything differs that may decide a result (versions, machine,
settings, weights, pictures), 0 otherwise: commit and speed are told and do not count.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import one_line_errors
from repro.record import NONE, read_smoke

CODE = ("commit", "dirty")
MACHINE = ("gpus", "cpu", "cpu_id", "cpu_capability", "num_cores", "memory_gib", "system")
TOLD = ("code", "speed", "memory")
"""Kinds that are told and do not count."""
FIGURES = (
    ("speed", "images a second", "img/s", lambda record: record["speed"].get("rate_img_per_s")),
    ("speed", "p95 latency", "s", lambda record: record["speed"].get("latency_p95_s")),
    ("memory", "peak memory", "MiB", lambda record: record.get("peak_memory_mib")),
)
DIGEST_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that differs."""

    kind: str
    """``version``, ``machine``, ``code``, ``settings``, ``weights``, ``picture``, ``speed`` or
    ``memory``."""
    what: str
    was: str
    now: str
    note: str = ""

    @property
    def counts(self) -> bool:
        """Whether it may decide a result."""
        return self.kind not in TOLD

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.kind:<9}{self.what}: {self.was} -> {self.now}{note}"


def compare_smokes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two records, what counts first."""
    changes = [
        *_environment(was["environment"], now["environment"]),
        *_of_kind("settings", was["settings"], now["settings"]),
        *_of_kind("machine", {"device": was.get("device")}, {"device": now.get("device")}),
        *_of_kind("weights", _weights(was), _weights(now)),
        *_of_kind("picture", _hashes(was), _hashes(now)),
        *_figures(was, now),
    ]
    return sorted(changes, key=lambda change: not change.counts)


def _environment(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*was, *now)):
        kind = "code" if key in CODE else "machine" if key in MACHINE else "version"
        before, after = was.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _of_kind(kind, before, after)
        elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _of_kind(kind, one, other, prefix=f"gpu {number} ")
        elif before != after:
            yield Change(kind=kind, what=key, was=_text(before), now=_text(after))


def _of_kind(
    kind: str, was: Mapping[str, Any], now: Mapping[str, Any], *, prefix: str = ""
) -> Iterator[Change]:
    for key in dict.fromkeys((*was, *now)):
        if was.get(key) != now.get(key):
            before, after = _text(was.get(key)), _text(now.get(key))
            yield Change(kind=kind, what=f"{prefix}{key}", was=before, now=after)


def _weights(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"sha256": record.get("weights_sha256")}


def _hashes(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{each.get('file')} {each.get('prompt')!r}": each.get("pixels_sha256")
        for each in record["pictures"]
    }


def _figures(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for kind, what, unit, read in FIGURES:
        before, after = read(was), read(now)
        if before and after and before != after:
            yield Change(
                kind=kind,
                what=what,
                was=f"{before:.4g}",
                now=f"{after:.4g} {unit}",
                note=f"{after / before:.2f} times",
            )


def _text(value: Any) -> str:
    if value is None or value == []:
        return NONE
    if isinstance(value, list):
        return f"{len(value)} x {value[0]['name']}" if isinstance(value[0], dict) else str(value)
    text = str(value)
    is_digest = len(text) in (40, 64) and set(text) <= set("0123456789abcdef")
    return f"{text[:DIGEST_DIGITS]}..." if is_digest else text


@one_line_errors
def main() -> int:
    """Print one line a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m repro.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("earlier", type=Path)
    parser.add_argument("now", type=Path)
    given = parser.parse_args()
    changes = compare_smokes(read_smoke(given.earlier), read_smoke(given.now))
    for change in changes:
        sys.stdout.write(f"{change}\n")
    counted = sum(change.counts for change in changes)
    sys.stdout.write(f"{conclusion(changes)}\n")
    return 1 if counted else 0


def conclusion(changes: list[Change]) -> str:
    """Return the last line: how many changes count, and whether the pictures are among them."""
    pictures = sum(change.kind == "picture" for change in changes)
    others = sum(change.counts for change in changes) - pictures
    said = f"{pictures} pictures differ" if pictures else "all pictures are equal"
    return f"{said}; {others} other changes that may decide a result"


if __name__ == "__main__":
    sys.exit(main())
