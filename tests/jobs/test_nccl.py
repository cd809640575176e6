"""jobs.nccl: what it takes from an allocation, what it starts, what it leaves behind."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

import jobs.nccl
from bench.nccl.parse import read_output
from bench.nccl.sweep import GIB, MIB, OPERATIONS
from bench.nccl.verdict import Level, judge
from bench.record import read_result, write_result
from jobs.runtime.nccl_rank import read_place
from jobs.runtime.nccl_run import measure, track
from jobs.runtime.nccl_site import Site, child_env, may_keep, may_pass, read_site
from jobs.runtime.nccl_steps import (
    Asked,
    Point,
    Program,
    default_ranks,
    find_program,
    nccl_tests_command,
    points,
    run_command,
    torch_command,
)
from pipeline.core.errors import InputError
from pipeline.core.machine import Gpu, Machine
from tests.jobs.test_broken_inputs import ROOT, job

FIXTURES = ROOT / "tests" / "bench" / "nccl" / "fixtures"
B200 = Machine(
    host="dgx1", system="Linux", cpu="Xeon", num_cores=112, memory_gib=2000.0,
    gpus=tuple(Gpu(index=i, name="NVIDIA B200", memory_mib=183359) for i in range(8)),
)  # fmt: skip
BARE = Machine(host="vm", system="Linux", cpu="EPYC", num_cores=2, memory_gib=8.0)
DGX = Site(
    num_nodes=1, ranks_per_node=8, device="cuda", gpu="NVIDIA B200", in_slurm=True,
    max_bytes=16 * GIB,
)  # fmt: skip
ASKED = Asked(
    operations=("all_reduce",), min_bytes=8, max_bytes=8 * GIB, step_factor=2, num_iterations=20,
    num_warmup=5, dtype="float", limit_s=20,
)  # fmt: skip
SECRETS = {
    "HF_TOKEN": "tell-nobody-1",
    "WANDB_API_KEY": "tell-nobody-2",
    "NCCL_KEY": "tell-nobody-3",
}


def fake_program(
    folder: Path, output: str, *, operation: str = "all_reduce", json_too: bool = True
):
    """A program of nccl-tests that prints a fixture and writes its environment as theirs does."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{operation}_perf"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "if sys.argv[1:] == ['-h']:\n"
        f"    sys.exit(print('USAGE: [-b minbytes] {'[-J,--output_file]' if json_too else ''}'))\n"
        f"sys.stdout.write(open({str(FIXTURES / 'b200_good.txt')!r}).read())\n"
        "if '-J' in sys.argv:\n"
        f"    told = json.load(open({str(FIXTURES / output)!r}))\n"
        "    told['env'] = [f'{k}={v}' for k, v in os.environ.items()]\n"
        "    open(sys.argv[sys.argv.index('-J') + 1], 'x').write(json.dumps(told))\n"
    )
    path.chmod(0o755)
    return path


def test_gpus_are_those_the_driver_shows_and_the_allocation_gives():
    site = read_site({"SLURM_JOB_ID": "1", "SLURM_GPUS_ON_NODE": "4"}, B200)
    assert (site.device, site.ranks_per_node, site.num_ranks) == ("cuda", 4, 4)
    assert read_site({"CUDA_VISIBLE_DEVICES": "0,1"}, B200).ranks_per_node == 2
    assert read_site({}, B200).ranks_per_node == 8
    # deploy/slurm-local gives GPUs that no driver shows.
    assert read_site({"SLURM_JOB_ID": "1", "SLURM_GPUS_ON_NODE": "8"}, BARE).device == "cpu"


@pytest.mark.parametrize(
    ("env", "num_gpus"),
    [
        ({"SLURM_JOB_ID": "1"}, 0),
        ({"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "0,1"}, 0),
        ({"SLURM_JOB_ID": "1", "SLURM_GPUS_ON_NODE": "0"}, 0),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_GPUS": "4,5,6"}, 3),
        ({"SLURM_JOB_ID": "1", "SLURM_GPUS_ON_NODE": "16"}, 8),
        ({"SLURM_JOB_ID": "1", "SLURM_GPUS_ON_NODE": "8", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 0),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, 0),
    ],
)
def test_gpus_that_were_not_given_are_left_alone(env, num_gpus):
    site = read_site(env, B200)
    assert site.device == ("cuda" if num_gpus else "cpu")
    assert not num_gpus or site.num_ranks == num_gpus


def test_a_single_gpu_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jobs.nccl, "read_machine", lambda: B200)
    monkeypatch.setattr(jobs.nccl, "this_env", lambda: {"CUDA_VISIBLE_DEVICES": "0"})
    monkeypatch.setattr(sys, "argv", ["nccl", f"--runs-dir={tmp_path / 'runs'}"])
    assert jobs.nccl.main() == 2
    assert "two GPUs" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_nodes_multiply_and_two_largest_buffers_fit_a_b200():
    site = read_site(
        {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "4", "SLURM_GPUS_ON_NODE": "8"}, B200
    )
    assert site.num_ranks == 32
    assert default_ranks(site) == [2, 4, 8, 32]
    assert 16 * GIB <= site.max_bytes < 183359 * 2**20 / 2


def test_both_settings_of_nvls_on_gpus_and_none_on_a_cpu():
    assert len(points(DGX, [2, 4, 8], [True, False])) == 6
    assert points(read_site({}, BARE), [2], [True, False]) == [Point(num_ranks=2, nvls=None)]


@pytest.mark.parametrize("ranks", [1, 9, 12])
def test_ranks_that_are_not_there_are_refused(ranks):
    with pytest.raises(InputError, match="--ranks"):
        points(DGX, [ranks], [True])


def test_ranks_over_nodes_fill_them():
    two = Site(
        num_nodes=2, ranks_per_node=8, device="cuda", gpu="NVIDIA B200", in_slurm=True, max_bytes=8
    )
    with pytest.raises(InputError, match="whole nodes"):
        points(two, [12], [True])


def test_secrets_pass_to_no_process_and_into_no_file():
    env = child_env({**SECRETS, "NCCL_IB_HCA": "mlx5", "NCCL_IB_PKEY": "1", "PATH": "/bin",
                     "SLURM_JOB_ID": "3", "SLURM_JWT": "x", "MY_OWN": "x"})  # fmt: skip
    assert env.keys() >= {"NCCL_IB_HCA", "NCCL_IB_PKEY", "PATH", "SLURM_JOB_ID"}
    assert not {*SECRETS, "SLURM_JWT", "MY_OWN"} & set(env)
    assert may_pass("LD_LIBRARY_PATH") and not may_keep("LD_LIBRARY_PATH")


def test_a_step_for_gpus_is_one_process_a_gpu_on_as_few_nodes_as_hold_them(tmp_path):
    mpi = Program(path="all_reduce_perf_mpi", has_mpi=True, writes_json=True)
    two = Site(
        num_nodes=2, ranks_per_node=8, device="cuda", gpu="NVIDIA B200", in_slurm=True, max_bytes=8
    )
    command = nccl_tests_command(
        two, Point(num_ranks=16, nvls=True), ASKED, mpi, json_out=tmp_path / "a.json"
    )
    assert {"--nodes=2", "--ntasks=16", "--ntasks-per-node=8", "--mpi=pmix"} <= set(command)
    assert command[command.index("-g") + 1] == "1"
    assert command[command.index("-J") + 1] == str(tmp_path / "a.json")
    step = torch_command(two, Point(num_ranks=2, nvls=True), ASKED, out=tmp_path / "t.json")
    assert {"--nodes=1", "--ntasks=2", "--ntasks-per-node=2"} <= set(step)
    assert any(part.startswith("--meet=tcp://") for part in step)


def test_a_program_without_mpi_has_all_gpus_in_one_process(tmp_path):
    alone = Program(path="all_reduce_perf", has_mpi=False, writes_json=False)
    command = nccl_tests_command(
        DGX, Point(num_ranks=4, nvls=True), ASKED, alone, json_out=tmp_path / "a.json"
    )
    assert "--ntasks=1" in command and command[command.index("-g") + 1] == "4"
    assert "-J" not in command


def test_programs_are_found_and_asked_for_json(tmp_path):
    fake_program(tmp_path / "new", "v3.json")
    fake_program(tmp_path / "old", "v3.json", json_too=False)
    new, old = (find_program("all_reduce", tmp_path / each) for each in ("new", "old"))
    assert new is not None and old is not None
    assert (new.writes_json, old.writes_json, new.has_mpi) == (True, False, False)
    assert find_program("sendrecv", tmp_path / "new") is None


def measured(tmp_path: Path, output: str, *, num_ranks: int = 8, json_too: bool = True):
    fake_program(tmp_path / "bin", output, json_too=json_too)
    program = find_program("all_reduce", tmp_path / "bin")
    assert program is not None
    here = Site(
        num_nodes=1, ranks_per_node=8, device="cuda", gpu="NVIDIA B200", in_slurm=False,
        max_bytes=GIB,
    )  # fmt: skip
    told: list[str] = []
    sweeps = list(measure(
        here, points(here, [num_ranks], [True, False]), ASKED, programs={"all_reduce": program},
        env=child_env({**os.environ, **SECRETS, "NCCL_DEBUG": "WARN"}), raw=tmp_path / "raw",
        tell=told.append,
    ))  # fmt: skip
    assert len(told) == 2
    return sweeps


def test_nccl_tests_run_with_nvls_on_and_off_and_leave_no_secret(tmp_path):
    on, off = measured(tmp_path, "v3.json")
    assert (on.nvls, off.nvls, on.complete) == (True, False, True)
    assert judge(on).level is Level.ok
    for nvls, name in ((2, "on"), (0, "off")):  # 1 would take multicast for granted
        raw = json.loads((tmp_path / "raw" / f"all_reduce.8.nvls_{name}.json").read_text())
        assert f"NCCL_NVLS_ENABLE={nvls}" in raw["env"]
        assert "NCCL_DEBUG=WARN" in raw["env"]
    texts = [path.read_text() for path in (tmp_path / "raw").iterdir()]
    assert len(texts) == 4
    assert not any("tell-nobody" in text or "PATH=" in text for text in texts)


def test_without_json_the_text_is_read(tmp_path):
    on, _ = measured(tmp_path, "v3.json", json_too=False)
    assert on.tool == "nccl-tests 2.19.6"
    assert on.largest.size_bytes == 8 * GIB


def test_eight_copies_of_one_rank_are_not_taken_for_eight_ranks(tmp_path):
    on, _ = measured(tmp_path, "v3.json", num_ranks=4)
    assert not on.complete
    assert "instead of 4" in on.notes[0]


def test_a_program_that_dies_costs_its_own_figures_only(tmp_path):
    program = tmp_path / "all_reduce_perf"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    here = Site(
        num_nodes=1, ranks_per_node=8, device="cuda", gpu="NVIDIA B200", in_slurm=False,
        max_bytes=GIB,
    )  # fmt: skip
    (lost,) = measure(
        here, [Point(num_ranks=8, nvls=True)], ASKED, env={}, raw=tmp_path / "raw",
        programs={"all_reduce": Program(path=str(program), has_mpi=False, writes_json=False)},
        tell=lambda _: None,
    )  # fmt: skip
    assert not lost.complete and not lost.rows
    assert any("exit status 3" in note for note in lost.notes)
    assert judge(lost).level is Level.fail


def test_a_program_that_hangs_is_ended(tmp_path):
    trouble = run_command(
        ["/bin/sh", "-c", "echo stuck; exec sleep 60"], {}, log=tmp_path / "log", limit_s=1
    )
    assert "not done after 1 s" in trouble and "stuck" in trouble
    assert "No such file" in run_command(["/absent"], {}, log=tmp_path / "log", limit_s=1)


def test_a_folder_without_programs_is_refused_where_there_are_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.nccl, "read_machine", lambda: B200)
    monkeypatch.setattr(
        sys, "argv", ["nccl", f"--nccl-tests={tmp_path}", f"--runs-dir={tmp_path / 'runs'}"]
    )
    assert jobs.nccl.main() == 2
    assert not (tmp_path / "runs").exists()


def test_a_rank_reads_its_place_in_the_step_not_in_the_job():
    env = {
        "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "5",
        "SLURM_NODEID": "0", "SLURM_STEP_NUM_NODES": "1", "SLURM_JOB_NUM_NODES": "4",
        "SLURM_NTASKS": "32", "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7",
    }  # fmt: skip
    world = read_place(env, device="cuda")
    assert (world.rank, world.world_size, world.local_world_size) == (5, 8, 8)
    assert world.device == "cuda:5"
    assert read_place({**env, "CUDA_VISIBLE_DEVICES": "5"}, device="cuda").device == "cuda:0"
    assert read_place(env, device="cpu").device == "cpu"


def swept(tmp_path, monkeypatch, measure, *arguments: str):
    """jobs.nccl on this machine's CPU with made-up measurements."""
    monkeypatch.setattr(jobs.nccl, "read_machine", lambda: BARE)
    monkeypatch.setattr(jobs.nccl, "this_env", dict)
    monkeypatch.setattr(jobs.nccl, "measure", measure)
    monkeypatch.setattr(jobs.nccl, "BASELINES", tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["nccl", "--ranks=8", f"--runs-dir={tmp_path}", "--run-id=a", *arguments]
    )
    return jobs.nccl.main()


def test_what_is_measured_is_on_disk_before_the_next_begins(tmp_path, monkeypatch):
    folder = tmp_path / "nccl" / "cpu" / "a"

    def cut_off(*_, **__):
        yield read_output(FIXTURES / "b200_good.txt")
        assert "all_reduce" in (folder / "table.txt").read_text()
        yield read_output(FIXTURES / "b200_alltoall_na.txt")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, monkeypatch, cut_off)
    rows = read_result(folder / "result.json").rows
    assert [row.name for row in rows] == ["all_reduce.8", "alltoall.8"]
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_a_short_sweep_leaves_the_baseline_of_a_whole_one(tmp_path, monkeypatch, capsys):
    def measure(*_, **__):
        yield read_output(FIXTURES / "b200_good.txt")

    def sweep(*arguments: str) -> None:
        swept(tmp_path, monkeypatch, measure, "--baseline", *arguments)

    sweep("--max-bytes=64K")
    [path] = tmp_path.glob("nccl.*.json")
    first = path.read_text()
    sweep("--max-bytes=4K")
    assert path.read_text() == first
    assert "settings.max_bytes" in capsys.readouterr().out
    sweep("--max-bytes=64K", "--limit-min=1")
    assert read_result(path).command.endswith("--limit-min=1")
    # A place that waits for a measurement is no sweep.
    write_result(path, dataclasses.replace(read_result(path), measured=None))
    sweep("--max-bytes=4K")
    assert read_result(path).settings["max_bytes"] == 4096


def test_a_size_of_nothing_is_no_row_of_the_log():
    tracker = Mock()
    track(tracker, [read_output(FIXTURES / "size_zero.txt")], [])
    assert [call.args[0] for call in tracker.log.call_args_list] == [128, MIB]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The command as a user without Slurm or GPUs types it."""
    runs = tmp_path_factory.mktemp("runs")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    command = [
        sys.executable, "-m", "jobs.nccl", "--ranks=2", "--max-bytes=4K", "--iterations=2",
        f"--runs-dir={runs}", "--run-id=a", "--wandb=offline",
    ]  # fmt: skip
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**env, **SECRETS}
    )
    assert ran.returncode == 0, ran.stderr
    return runs / "nccl" / "cpu" / "a", ran.stdout


def test_a_sweep_leaves_table_chart_result_and_record(done):
    folder, told = done
    result = read_result(folder / "result.json")
    assert [row.name for row in result.rows] == [f"{name}.2" for name in OPERATIONS]
    assert all(row.median and row.ceiling is None for row in result.rows)
    assert result.settings["backend"] == "gloo"
    assert result.measured and result.conditions.device == "cpu"
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert (folder / "table.txt").read_text() in told + "\n"
    assert (folder / "sweep-2.png").read_bytes().startswith(b"\x89PNG")
    assert len(result.verdicts) == len(OPERATIONS)
    assert result.verdicts[0] in told


def test_a_sweep_is_mirrored_to_wandb_in_its_own_folder(done):
    folder, _ = done
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["nccl/size_bytes"] for row in rows] == [8, 32, 128, 512, 2048]
    assert "nccl/all_reduce.2/busbw_gb_per_s" in rows[-1]


def test_no_secret_stands_in_any_file(done):
    folder, told = done
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        assert b"tell-nobody" not in path.read_bytes(), path
    assert "tell-nobody" not in told


def test_outputs_of_elsewhere_are_shown_and_judged(capsys, monkeypatch):
    def read(name: str) -> int:
        monkeypatch.setattr(sys, "argv", ["nccl", "--read", str(FIXTURES / name)])
        return jobs.nccl.main()

    assert read("b200_good.txt") == 0
    assert "839 of 838-846 GB/s" in capsys.readouterr().out
    assert read("b200_slow_srun_label.txt") == 1
    assert read("half_line.txt") == 1
    assert read("all_types_2.18.txt") == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--read", str(FIXTURES / "not_nccl.txt")], "not_nccl.txt"),
        (["--read", "absent.txt"], "absent.txt"),
        (["--ranks=64"], "--ranks"),
        (["--min-bytes=64K", "--max-bytes=8"], "--max-bytes"),
    ],
)
def test_what_a_user_can_mend_is_one_line(arguments, named, tmp_path):
    assert named in job("nccl", *arguments, f"--runs-dir={tmp_path}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "argument", ["--max-bytes=1X", "--operations=reduce", "--nvls=maybe", "--ranks=a", "--ranks="]
)
def test_a_typo_is_told_by_argparse(argument, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nccl", argument])
    with pytest.raises(SystemExit) as ended:
        jobs.nccl.main()
    assert ended.value.code == 2
    assert "allowed" in capsys.readouterr().err
