from pathlib import Path

import pytest

from bench.places import DGX_B200, DGX_B200_CPU, baseline_path, empty_place, slug
from bench.record import FORMAT, BenchResult, here, read_result
from pipeline.core.files import read_json
from pipeline.core.machine import describe
from pipeline.core.nvml import Nvml
from tests.fakes.nvml import dgx_b200

BASELINES = Path(__file__).parents[2] / "bench" / "baselines"
RESULTS = [p for p in sorted(BASELINES.glob("*.json")) if read_json(p).get("format") == FORMAT]
MEASURED = [p for p in RESULTS if read_json(p)["measured"] is not None]


def test_a_file_is_named_after_bench_and_hardware():
    assert slug("8 x NVIDIA B200") == "8_x_nvidia_b200"
    assert slug("2 cores of AMD EPYC") == "2_cores_of_amd_epyc"


def test_a_file_is_named_by_what_computed():
    machine = describe(Nvml(dgx_b200()))
    names = [
        baseline_path(
            Path(), BenchResult(bench="smoke", conditions=here(device=d, machine=machine), rows=())
        ).name
        for d in ("cuda", "cpu")
    ]
    assert names[0] == "smoke.8_x_nvidia_b200.cuda.json"
    assert "nvidia" not in names[1]
    assert names[1].endswith(".cpu.json")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_baselines_are_whole_and_where_they_belong(path):
    result = read_result(path)
    assert baseline_path(BASELINES, result) == path
    names = [row.name for row in result.rows]
    assert len(set(names)) == len(names)
    if result.measured is None:
        assert all(row.median is None for row in result.rows)
    else:
        assert result.command
        assert result.commit
        assert result.conditions.versions["torch"]
        assert all(row.median is None or row.repeats > 0 for row in result.rows)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_what_is_measured_here_has_its_place_for_the_dgx(path):
    measured = read_result(path)
    place = baseline_path(BASELINES, empty_place(measured))
    assert place.is_file()
    waiting = read_result(place)
    assert waiting.conditions.hardware in {DGX_B200.hardware, DGX_B200_CPU.hardware}
    if waiting.measured is None:
        assert [row.name for row in waiting.rows] == [row.name for row in measured.rows]
