"""On a real Slurm: `sbatch sbatch/nccl_sweep.sh` as a user types it."""

from pathlib import Path

import pytest

from bench.record import read_result
from tests.slurm.cluster import ROOT, submit

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(400)]

SCRIPT = ROOT / "sbatch" / "nccl_sweep.sh"
OUTPUT = ROOT / "tests" / "bench" / "nccl" / "fixtures" / "b200_good.txt"
SMALL = ("--ranks=2,4", "--max-bytes=4K", "--iterations=1", "--operations=all_reduce,alltoall")


@pytest.fixture
def no_baseline():
    """Take away the baseline that the sweep of this machine's CPU leaves."""
    before = set((ROOT / "bench" / "baselines").iterdir())
    yield
    for path in set((ROOT / "bench" / "baselines").iterdir()) - before:
        path.unlink()


@pytest.mark.usefixtures("no_baseline")
@pytest.mark.parametrize("flags", [(), ("--partition=batch", "--gpus-per-node=8")])
def test_the_batch_script_sweeps_on_what_is_there(tmp_path, flags):
    told = submit(
        SCRIPT, tmp_path, *flags, arguments=(*SMALL, f"--runs-dir={tmp_path}", "--run-id=a")
    )
    folder = tmp_path / "nccl" / "cpu" / "a"
    text = told.read_text()
    assert "wrote" in text, text
    assert "tell-nobody" not in text
    result = read_result(folder / "result.json")
    assert [row.name for row in result.rows] == [
        "all_reduce.2", "alltoall.2", "all_reduce.4", "alltoall.4",
    ]  # fmt: skip
    assert all(sweep["complete"] for sweep in result.extra["sweeps"])
    assert result.settings["backend"] == "gloo"
    assert (folder / "sweep-4.png").is_file()
    assert list((ROOT / "bench" / "baselines").glob("nccl.*.cpu.json"))


@pytest.mark.parametrize(
    ("where", "flags"),
    [(ROOT, ()), (ROOT / "sbatch", ()), (Path("/tmp"), (f"--chdir={ROOT}",))],
    ids=["root", "sbatch", "chdir"],
)
def test_the_root_is_found(tmp_path, where, flags):
    told = submit(SCRIPT, tmp_path, *flags, where=where, arguments=("--read", str(OUTPUT)))
    assert "839 of 838-846 GB/s" in told.read_text()


def test_submitted_from_elsewhere_it_says_where_it_must_be(tmp_path):
    told = submit(SCRIPT, tmp_path, where=tmp_path)
    assert "root of the repository" in told.read_text()
