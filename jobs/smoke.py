"""Ten fixed pictures, checked and timed: ``python -m jobs.smoke cluster=inline``.

Exit status 1 when a picture is not what was recorded. ``repro/run.sh`` and ``sbatch/smoke.sh`` run
this very job. On a GPU: ``cluster.gpus_per_node=1``. Recording anew: ``record=true``.
"""

import dataclasses
import logging
import sys
from typing import TYPE_CHECKING, Any

from jobs.conf import SmokeJob
from jobs.runtime.cli import main
from jobs.runtime.context import JobContext
from pipeline.core.errors import CheckError
from pipeline.core.files import read_json, write_atomic
from pipeline.core.machine import Machine, read_machine
from pipeline.core.outcome import Outcome
from pipeline.core.rundir import RunDir

if TYPE_CHECKING:
    from bench.record import BenchResult
    from repro.reference import Check

SCHEMA = SmokeJob

log = logging.getLogger(__name__)


def run(cfg: SmokeJob, context: JobContext) -> Outcome:
    """Draw, check, say, and keep what passed as the baseline of this hardware."""
    from bench.places import keep
    from repro import reference, smoke
    from repro.environment import read_environment, table
    from repro.record import FILE, read_smoke

    earlier = read_smoke(cfg.compare) if cfg.compare else None
    # Before the work: a reference that cannot be read is found in a second.
    recorded = None if cfg.record else reference.read_reference(cfg.reference)
    run_dir, machine = context.run_dir, read_machine()
    environment = read_environment(read_json(run_dir.code_json), seed=smoke.SEED, machine=machine)
    log.info("environment\n%s", table(environment))
    if machine.gpus and context.world.device == "cpu":
        log.info("the CPU is checked; for a GPU add cluster.gpus_per_node=1")
    drawn = smoke.run_smoke(
        smoke.smoke_config(cfg.model),
        world=context.world,
        run_dir=run_dir,
        tracker=context.tracker,
        should_stop=context.stop_requested,
    )
    if drawn is None:
        return Outcome(finished=False)
    kind = reference.kind_of(environment, drawn)
    if recorded is None:
        stays = reference.record(cfg.reference, drawn, kind=kind)
        how = "these hashes; the pictures there are the same" if stays else "anew"
        log.info("recorded  %s: %s", cfg.reference, how)
        recorded = reference.read_reference(cfg.reference)
    checked = reference.check(drawn, recorded, kind=kind)
    told = smoke.write_smoke(
        run_dir.path / FILE,
        drawn,
        environment=environment,
        checked={"by": checked.by, "passed": checked.passed, "how": checked.how}
        | {"verdicts": [dataclasses.asdict(verdict) for verdict in checked.verdicts]},
    )
    _say(checked, told)
    if earlier is not None:
        _say_changes(earlier, told)
    if not checked.passed:
        raise CheckError(f"smoke: {checked.fault}; {run_dir.path / FILE} says more")
    if drawn.rate_img_per_s is not None:
        result = as_result(told, run_dir, machine=machine)
        file = keep(cfg.baselines_dir, result)
        write_atomic(file.with_suffix(".png"), run_dir.contact_sheet.read_bytes())
        log.info("baseline  %s", file)
    log.info("record    %s", run_dir.path / FILE)
    return Outcome(
        finished=True,
        figures={
            "num_images": len(drawn.pictures),
            "rate_img_per_s": drawn.rate_img_per_s or 0.0,
            "latency_p95_s": told["speed"]["latency_p95_s"] or 0.0,
            "peak_memory_mib": drawn.peak_memory_mib,
        },
    )


def as_result(told: dict[str, Any], run_dir: RunDir, *, machine: Machine) -> "BenchResult":
    """Return a smoke run in the form of every benchmark; ``extra.smoke`` is the whole record."""
    from bench.record import BenchResult, Row, here, row

    speed, origin = told["speed"], read_json(run_dir.code_json)
    latency = row("latency", speed["latency_s"], unit="s", warmup=1, higher_is_better=False)
    rate = Row(name="rate", unit="img/s", median=speed["rate_img_per_s"], repeats=1, warmup=0)
    memory = Row(
        name="peak_memory",
        unit="MiB",
        median=told["peak_memory_mib"],
        repeats=1,
        higher_is_better=False,
    )
    threads = told["settings"]["num_threads"]
    return BenchResult(
        bench="smoke",
        conditions=here(device=told["device"], num_threads=threads, machine=machine),
        rows=(rate, latency, memory),
        settings=told["settings"],
        verdicts=(
            f"{len(told['pictures'])} pictures: {told['checked']['how']}",
            f"peak memory is of {told['peak_memory_of']}",
        ),
        command=origin["command"],
        commit=origin["commit"],
        dirty=origin["diff_sha256"] is not None,
        measured=read_json(run_dir.run_json)["attempts"][-1]["started"],
        extra={"smoke": told},
    )


def _say(checked: "Check", told: dict[str, Any]) -> None:
    log.info("check     %s", checked.how)
    for verdict in checked.verdicts:
        word = "equal" if verdict.equal else "same" if verdict.passed else "DIFFERS"
        share = "" if verdict.equal else f"  {verdict.differing:.1%} of pixels"
        log.info("%-8s  %s  %s%s", word, verdict.file, verdict.prompt, share)
    speed = told["speed"]
    if speed["rate_img_per_s"] is None:
        log.info("speed     not measured: pictures were there from an earlier attempt")
    else:
        log.info(
            "speed     %.2f img/s end to end, p95 latency %.3f s a picture (of %d)",
            speed["rate_img_per_s"],
            speed["latency_p95_s"],
            len(speed["latency_s"]),
        )
    log.info("memory    %.0f MiB at the peak: %s", told["peak_memory_mib"], told["peak_memory_of"])


def _say_changes(earlier: dict[str, Any], told: dict[str, Any]) -> None:
    from repro.drift import compare_smokes, conclusion

    changes = compare_smokes(earlier, told)
    for change in changes:
        log.info("changed   %s", change)
    log.info("compared  %s", conclusion(changes))


if __name__ == "__main__":
    sys.exit(main("smoke", SCHEMA))
