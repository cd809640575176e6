import sys

import psutil
import pytest
import torch.distributed as dist

from bench.record import read_result
from bench.scaling_model import __main__ as command
from bench.scaling_model import measure
from bench.scaling_model.measure import Settings, compare, crowding, describe_check, spread
from bench.scaling_model.rank import time_all_reduce, time_generation, time_steps
from pipeline.core.errors import EXIT_INPUT, InputError
from pipeline.core.world import World

TINY = {"num_steps": 2, "num_images": 4, "draw_batch_size": 2, "sampler_steps": 1}


def place(n, threads, *, step_s, batch_s, all_reduce_s=0.0):
    sizes = {16: step_s, 8: step_s / 2, 4: step_s / 4}
    return {
        "num_ranks": n,
        "num_threads": threads,
        "steps": {
            str(size): {"times_s": [time_s] * 3, "gradient_bytes": 400, "num_tensors": 2}
            for size, time_s in sizes.items()
        },
        "all_reduce_s": {"400": all_reduce_s, "8": 0.0, "16": 0.0},
        "generation": {
            "num_images": 64,
            "total_s": 8 * batch_s / n,
            "tail_s": 0.0,
            "batches_s": [batch_s] * (8 // n),
        },
    }


def named(checked):
    return {(each.name, each.num_ranks): each for each in checked}


@pytest.mark.parametrize(
    ("n", "threads", "cores", "times"), [(1, 2, 2, 1), (2, 1, 2, 1), (4, 1, 2, 2), (1, 1, 8, 1)]
)
def test_work_takes_longer_where_threads_outnumber_cores(n, threads, cores, times):
    assert crowding(n, threads, cores) == times


def test_a_machine_that_does_as_the_model_says_has_no_error():
    told = {
        "1x2": place(1, 2, step_s=0.1, batch_s=1.0),
        "1x1": place(1, 1, step_s=0.2, batch_s=2.0),
        "2x1": place(2, 1, step_s=0.25, batch_s=2.0, all_reduce_s=0.05),
    }
    told["2x1"]["steps"] = {
        "16": {"times_s": [0.25] * 3},
        "8": {"times_s": [0.15] * 3},
    }
    checked = named(compare(told, num_cores=2))
    names = ("train_weak", "train_strong", "generate")
    assert set(checked) == {(name, n) for name in names for n in (1, 2)}
    for each in checked.values():
        assert each.error == pytest.approx(0.0)


def test_an_oversubscribed_machine_is_predicted_from_half_a_core_a_rank():
    told = {
        "1x2": place(1, 2, step_s=0.1, batch_s=1.0),
        "1x1": place(1, 1, step_s=0.2, batch_s=2.0),
        "4x1": place(4, 1, step_s=0.2, batch_s=2.0),
    }
    checked = named(compare(told, num_cores=2))
    # 4 ranks x 16 images in twice 0.2 s; 8 batches on 4 ranks in 2 turns of twice 2 s.
    assert checked["train_weak", 4].predicted_img_per_s == pytest.approx(160)
    assert checked["generate", 4].predicted_img_per_s == pytest.approx(8)
    # It was put down as if each rank had a core: the prediction is half of that.
    assert checked["train_weak", 4].error == pytest.approx(-0.5)
    assert "-50.0%" in describe_check(list(checked.values()))


def test_one_outlier_does_not_move_the_spread():
    times_s = [1.0, 1.1] * 20
    assert spread([*times_s, 100.0]) == pytest.approx(spread(times_s), rel=0.05)


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_a_rank_times_the_projects_own_trainer_and_generation(smoke_data, tmp_path):
    settings = Settings(dataset=str(smoke_data), batch_sizes=[2], **TINY)
    steps = time_steps(settings, 2, World())
    assert len(steps["times_s"]) == 2
    assert steps["gradient_bytes"] == 1_060_864
    assert steps["num_tensors"] == 112
    assert time_all_reduce(1024, repeats=2) > 0
    run = time_generation(settings, World(), tmp_path)
    assert run["num_images"] == 4
    assert len(run["batches_s"]) == 2
    assert sum(run["batches_s"]) <= run["total_s"]
    assert len(list((tmp_path / "all" / "images").glob("*.png"))) == 4


@pytest.mark.slow
def test_two_ranks_are_started_and_measured(smoke_data, tmp_path):
    settings = Settings(dataset=str(smoke_data), batch_sizes=[2, 1], **TINY)
    told = measure.run_ranks(settings, num_ranks=2, num_threads=1, folder=tmp_path)
    assert told["num_ranks"] == 2
    assert told["num_threads"] == 1
    assert set(told["steps"]) == {"2", "1"}
    assert all(time_s > 0 for time_s in told["all_reduce_s"].values())


def test_a_rank_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "ROOT", tmp_path)  # no such module there
    settings = Settings(dataset="", batch_sizes=[1], **TINY)
    with pytest.raises(InputError, match="1 ranks here failed"):
        measure.run_ranks(settings, num_ranks=1, num_threads=1, folder=tmp_path)


@pytest.mark.slow
def test_ranks_that_take_too_long_are_ended_and_told_in_one_line(smoke_data, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "TIMEOUT_S", 15)
    settings = Settings(dataset=str(smoke_data), batch_sizes=[2], **TINY | {"num_steps": 1_000_000})
    with pytest.raises(InputError, match="2 ranks here are not done after 15 s"):
        measure.run_ranks(settings, num_ranks=2, num_threads=1, folder=tmp_path)
    path = str(tmp_path / "settings.json")
    assert not [
        one for one in psutil.process_iter(["cmdline"]) if path in (one.info["cmdline"] or ())
    ]


def test_how_busy_others_are_is_a_share():
    assert 0 <= measure.busy_share() <= 1


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench.scaling_model", *map(str, arguments)])
    return command.main()


def test_the_command_leaves_a_bench_file_and_a_picture(tmp_path, monkeypatch, capsys):
    assert call(monkeypatch, "--out", tmp_path, "--num-images", 100, "--assume", "spread=0") == 0
    result = read_result(tmp_path / "scaling_model.json")
    assert result.settings["spread"] == 0
    assert (tmp_path / "scaling_model.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "not measured on GPU" in out
    assert "spread = 0 of the time" in out
    first = (tmp_path / "scaling_model.png").read_bytes()
    call(monkeypatch, "--out", tmp_path, "--num-images", 100, "--assume", "spread=0")
    assert (tmp_path / "scaling_model.png").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--num-images", "0"], "--num-images"),
        (["--measured", "absent.json"], "absent.json"),
        (["--assume", "x=1"], "overlap"),
        (["--out", __file__], "--out"),
        (["--check", "--dataset", "absent"], "absent"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments, word, monkeypatch, capsys):
    assert call(monkeypatch, *arguments) == EXIT_INPUT
    assert word in capsys.readouterr().err
