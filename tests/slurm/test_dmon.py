"""On a real Slurm: `sbatch sbatch/dmon.sh` as a user types it."""

from pathlib import Path

import pytest

from tests.slurm.cluster import ROOT, submit

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

SCRIPT = ROOT / "sbatch" / "dmon.sh"


@pytest.mark.parametrize(
    ("where", "flags"), [(ROOT, ()), (Path("/tmp"), (f"--chdir={ROOT}",))], ids=["root", "chdir"]
)
def test_a_node_is_sampled_wherever_it_was_submitted(tmp_path, where, flags):
    out = tmp_path / "samples"
    arguments = ("--seconds=1", f"--out={out}")
    told = submit(SCRIPT, tmp_path, *flags, where=where, arguments=arguments)
    assert "cpu_s" in told.read_text()
    assert len(list(out.iterdir())) == 1


def test_submitted_from_elsewhere_it_says_where_it_must_be(tmp_path):
    told = submit(SCRIPT, tmp_path, where=tmp_path)
    assert "root of the repository" in told.read_text()
