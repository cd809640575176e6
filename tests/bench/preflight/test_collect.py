import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from bench.preflight import check
from bench.preflight.check import Request, check_node
from bench.preflight.collect import Answer, ask, gather
from bench.preflight.conf import DGX_B200
from bench.preflight.finding import Level, ok
from tests.bench.preflight.nodes import programs


def test_a_command_says_what_it_says_errors_included():
    answer = ask(["sh", "-c", "echo out; echo err >&2"], limit_s=5)
    assert answer == Answer(text="out\nerr\n")


def test_a_command_that_fails_keeps_its_words():
    answer = ask(["sh", "-c", "echo no devices; exit 6"], limit_s=5)
    assert answer.text == "no devices\n"
    assert "6" in str(answer.trouble)
    assert "no devices" in str(answer.trouble)


def test_a_command_that_is_not_there_is_missing():
    assert ask(["surely-not-installed"], limit_s=5).is_missing


def test_a_file_that_cannot_be_run_is_a_trouble(tmp_path, monkeypatch):
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = ask(["broken"], limit_s=5)
    assert answer.trouble
    assert not answer.is_missing


def test_bytes_that_are_no_text_are_an_answer():
    assert ask(["printf", r"\377\376"], limit_s=5).trouble is None


def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path):
    started = time.monotonic()
    answer = ask(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], limit_s=1.5)
    assert time.monotonic() - started < 20
    assert "1.5 s" in str(answer.trouble)
    child = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_tasks_run_at_once_and_one_that_is_late_or_raises_spoils_no_other():
    def wrong() -> int:
        raise RuntimeError("boom")

    done = threading.Event()

    def late() -> int:
        done.wait()
        return 3

    given = gather({"a": lambda: 1, "wrong": wrong, "late": late, "b": lambda: 2}, limit_s=0.3)
    done.set()
    assert (given["a"], given["b"]) == (1, 2)
    assert isinstance(given["wrong"], RuntimeError)
    assert isinstance(given["late"], TimeoutError)


def path_of(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def look(tmp_path, monkeypatch, *faults, hang="", all_s=4.0, **request):
    monkeypatch.setenv("PATH", path_of(programs(tmp_path / "bin", "dgx_b200", *faults, hang=hang)))
    asked = Request(runs_dir=tmp_path, is_quick=True, **request)
    return check_node(asked, all_s=all_s, command_s=1.5)


def test_a_whole_node_through_its_programs(tmp_path, monkeypatch):
    report = look(tmp_path, monkeypatch)
    assert report.profile == "dgx_b200"
    bad = [f for f in report.findings if f.level and not f.name.startswith(("cpu.", "nics"))]
    assert [f for f in bad if not f.name.startswith("runs.")] == []


@pytest.mark.parametrize("question", ["gpus", "topology"])
def test_a_driver_that_hangs_costs_its_limit_and_no_more(tmp_path, monkeypatch, question):
    started = time.monotonic()
    report = look(tmp_path, monkeypatch, hang=question, profile=DGX_B200)
    assert time.monotonic() - started < 20  # the program sleeps for a minute
    said = {f.name: f for f in report.findings}
    name = {"gpus": "gpu.count", "topology": "topology"}[question]
    assert "1.5 s" in said[name].found
    assert said[name].level is (Level.CRITICAL if question == "gpus" else Level.WARN)


def test_a_probe_with_a_fault_of_its_own_is_a_finding(tmp_path, monkeypatch):
    def torn(answers, profile):
        yield ok("torn.first", "seen")
        raise KeyError("no such column")

    monkeypatch.setattr(check, "GPU_PROBES", (torn, *check.GPU_PROBES))
    said = {f.name: f for f in look(tmp_path, monkeypatch).findings}
    assert said["torn.first"].level is Level.OK
    assert said["torn"].level is Level.WARN
    assert "xid" in said


def test_a_folder_that_hangs_is_critical(tmp_path, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(check.storage, "check_folder", lambda *_, **__: done.wait() or [])
    report = look(tmp_path, monkeypatch, all_s=0.6)
    done.set()
    said = {f.name: f for f in report.findings}
    assert said["runs.writable"].level is Level.CRITICAL
