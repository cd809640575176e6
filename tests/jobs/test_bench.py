import json

from bench.record import read_result
from jobs.bench import main
from jobs.conf import BenchJob
from jobs.runtime.config import compose_config

PLACE = "storage.224_cores_of_intel_r_xeon_r_platinum_8570.cpu.json"


def measure(tmp_path, *more):
    return main(
        [
            "bench=storage",
            "cluster=inline",
            f"runs_dir={tmp_path / 'runs'}",
            "run_id=a",
            "num_images=3",
            "large_file_mib=8",
            "repeats=1",
            "warmup=0",
            "baseline=true",
            f"baselines_dir={tmp_path / 'baselines'}",
            *more,
        ]
    )


def test_a_bench_leaves_a_result_a_baseline_and_an_empty_place(tmp_path, capsys):
    assert measure(tmp_path) == 0
    run = tmp_path / "runs" / "bench" / "storage" / "a"
    result = read_result(run / "bench.json")
    assert result.commit == json.loads((run / "code.json").read_text())["commit"]
    assert result.measured
    assert json.loads((run / "run.json").read_text())["figures"]["small.write"] > 0
    kept = {path.name for path in (tmp_path / "baselines").iterdir()}
    assert len(kept) == 2
    assert PLACE in kept
    capsys.readouterr()
    assert main(["show", str(run)]) == 0
    assert "small.write" in capsys.readouterr().out
    assert main(["compare", str(run), str(run / "bench.json")]) == 0


def test_what_cannot_be_compared_is_one_line(tmp_path, capsys):
    assert measure(tmp_path) == 0
    (kept,) = set((tmp_path / "baselines").iterdir()) - {tmp_path / "baselines" / PLACE}
    place = tmp_path / "baselines" / PLACE
    capsys.readouterr()
    assert main(["compare", str(kept), str(place)]) != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "conditions." in said[0]
    assert main(["compare", str(kept), str(tmp_path / "no.json")]) != 0
    assert "no.json" in capsys.readouterr().err


def test_what_got_worse_is_an_exit_status(tmp_path, capsys):
    assert measure(tmp_path) == 0
    (kept,) = set((tmp_path / "baselines").iterdir()) - {tmp_path / "baselines" / PLACE}
    value = json.loads(kept.read_text())
    value["rows"][1]["median"] *= 10
    faster = tmp_path / "faster.json"
    faster.write_text(json.dumps(value))
    assert main(["compare", str(faster), str(kept)]) == 1
    assert "worse" in capsys.readouterr().out


def test_a_bench_is_one_task(tmp_path, capsys):
    assert measure(tmp_path, "cluster.tasks_per_node=2") != 0
    assert "num_ranks" in capsys.readouterr().err


def test_what_sampling_costs_is_measured_against_no_sampler_at_all():
    config = compose_config("bench", BenchJob, ["bench=telemetry"])
    assert not config.telemetry.enabled
