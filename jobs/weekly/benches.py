"""Results of benchmarks: those of run folders, and the baselines they are held against."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.compare import Change, compare_results, unlike
from bench.record import BenchResult, read_result
from jobs.records.runs import BROKEN, why
from pipeline.core.errors import InputError

RESULTS = {"bench": "bench.json", "nccl": "result.json"}
"""From a job to the file its result is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One result that was measured."""

    path: Path
    result: BenchResult
    measured: datetime.datetime

    @property
    def machine(self) -> tuple[str, str]:
        """Hardware and what computed."""
        return self.result.conditions.hardware, self.result.conditions.device


@dataclass(slots=True, kw_only=True)
class Benches:
    """All results there are, up to a moment."""

    baselines: list[Kept] = field(default_factory=list)
    results: list[Kept] = field(default_factory=list)
    places: list[Path] = field(default_factory=list)
    """Baselines of machines that nobody has measured yet."""
    problems: list[tuple[Path, str]] = field(default_factory=list)

    def newest(self, bench: str, *, device: str | None = None) -> Iterable[Kept]:
        """Yield results and baselines of one bench, the newest first."""
        every = [
            kept
            for kept in [*self.results, *self.baselines]
            if kept.result.bench == bench and device in {None, kept.result.conditions.device}
        ]
        yield from sorted(every, key=lambda kept: (kept.measured, str(kept.path)), reverse=True)

    def before(self, moment: datetime.datetime) -> "Benches":
        """Return what had been measured by then."""
        return Benches(
            baselines=[kept for kept in self.baselines if kept.measured < moment],
            results=[kept for kept in self.results if kept.measured < moment],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The newest result of one bench on one machine, held against its baseline."""

    kept: Kept
    baseline: Kept | None
    changes: Sequence[Change] = ()
    unlike: Sequence[str] = ()
    """Conditions and settings that differ: then nothing is compared."""

    def num(self, verdict: str) -> int:
        """Count rows of one verdict."""
        return sum(change.verdict == verdict for change in self.changes)

    @property
    def furthest(self) -> Change | None:
        """The row that is furthest from its baseline, however it counts; None: there is none."""
        known = [change for change in self.changes if change.ratio is not None]
        return max(known, key=lambda each: abs((each.ratio or 1.0) - 1), default=None)

    @property
    def worse(self) -> list[Change]:
        """Rows that are worse, or were measured before and are not now."""
        return [change for change in self.changes if change.verdict in {"worse", "lost"}]


def read_benches(baselines: Path, runs_dir: Path, *, until: datetime.datetime) -> Benches:
    """Read baselines and the results in run folders that were measured before ``until``."""
    benches = Benches()
    for path in _baselines(baselines, benches):
        _read(path, benches, benches.baselines, until)
    # What of these folders cannot be looked into, who reads the runs has told already.
    for job, name in RESULTS.items():
        for path in sorted(runs_dir.glob(f"{job}/*/*/{name}")):
            _read(path, benches, benches.results, until)
    return benches


def _baselines(folder: Path, benches: Benches) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as error:
        benches.problems.append((folder, why(error, folder)))
        return []


def _read(path: Path, benches: Benches, into: list[Kept], until: datetime.datetime) -> None:
    try:
        result = read_result(path)
        if result.measured is None:
            benches.places.append(path)
            return
        measured = datetime.datetime.fromisoformat(result.measured)
    except BROKEN as error:
        benches.problems.append((path, why(error, path)))
        return
    if measured.tzinfo is None:
        measured = measured.replace(tzinfo=datetime.UTC)
    if measured < until:
        into.append(Kept(path=path, result=result, measured=measured))


def hold(benches: Benches, *, since: datetime.datetime) -> list[Held]:
    """Hold the newest result of each bench and machine since a moment against its baseline."""
    newest: dict[tuple[str, str, str], Kept] = {}
    for kept in sorted(benches.results, key=lambda kept: (kept.measured, str(kept.path))):
        if kept.measured >= since:
            newest[kept.result.bench, *kept.machine] = kept
    bases = {(kept.result.bench, *kept.machine): kept for kept in benches.baselines}
    return [_held(kept, bases.get(key)) for key, kept in sorted(newest.items())]


def _held(kept: Kept, baseline: Kept | None) -> Held:
    if baseline is None:
        return Held(kept=kept, baseline=None)
    differ = [name for name, _, _ in unlike(baseline.result, kept.result)]
    if differ:
        return Held(kept=kept, baseline=baseline, unlike=differ)
    try:
        changes = compare_results(baseline.result, kept.result)
    except InputError:
        changes = []
    return Held(kept=kept, baseline=baseline, changes=changes)
