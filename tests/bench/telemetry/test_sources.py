"""Sources as commands: scripts stand in for ``dcgmi`` and ``nvidia-smi``."""

import time
from pathlib import Path

import pytest

from bench.telemetry import stream
from bench.telemetry.dcgm import Dcgm
from bench.telemetry.dmon import SmiDmon
from bench.telemetry.sources import Source, choose
from bench.telemetry.stream import Rows, SourceError, run_tool

FIXTURES = Path(__file__).parent / "fixtures"
A, B = (f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "ab")
DCGMI = f"""\
case "$1 $2" in
  "dmon -l") cat {FIXTURES}/dcgmi_list.txt ;;
  "discovery -l") cat {FIXTURES}/dcgmi_discovery.txt ;;
  "dmon -e")
    echo "$@" >> "$LOG"
    case "$3" in *1004*) $PROFILING ;; esac
    cat {FIXTURES}/dcgmi_healthy.txt
    exec sleep 60 ;;
esac
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PROFILING", "true")
    monkeypatch.setattr(stream, "FIRST_ROW_S", 1.0)
    return tmp_path


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


def settled(source: Source, gpu: str, field: str, value: float) -> Rows:
    """The reader follows the tool: wait until it is through the fixture."""
    end_s = time.monotonic() + 5
    while source.read().get(gpu, {}).get(field) != value:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    return source.read()


def test_dcgm_is_asked_by_id_for_the_jobs_gpus_alone(tools: Path) -> None:
    tool(tools, "dcgmi", DCGMI)
    source = Dcgm(interval_s=0.5, uuids=[B])
    rows = settled(source, B, "power_w", 699.5)
    assert list(rows) == [B]
    asked = (tools / "log").read_text().split()
    assert asked[asked.index("-i") + 1] == "1"
    assert asked[asked.index("-d") + 1] == "500"
    ids = asked[asked.index("-e") + 1].split(",")
    # Only what this DCGM lists: one id it does not know would end the whole command.
    assert {"156", "1004", "1201"} <= set(ids)
    assert "1611" not in ids
    source.close()
    with pytest.raises(SourceError):
        source.read()


def test_denied_profiling_does_not_take_the_rest_with_it(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILING", "exit 1")
    tool(tools, "dcgmi", DCGMI)
    source = Dcgm(interval_s=0.5)
    settled(source, A, "energy_j", 1_000_702.0)
    first, second = (tools / "log").read_text().splitlines()
    assert "1004" in first
    assert "1004" not in second
    assert "156" in second
    source.close()


@pytest.mark.parametrize(
    "script", ["exit 1", "echo 'Error: unable to connect' >&2; exit 255", "sleep 60"]
)
def test_a_dcgm_that_does_not_answer_is_left_in_good_time(
    tools: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(run_tool, "__kwdefaults__", {"limit_s": 0.5})
    tool(tools, "dcgmi", script)
    start_s = time.monotonic()
    with pytest.raises(SourceError):
        Dcgm(interval_s=0.5)
    assert time.monotonic() - start_s < 4


def test_an_older_nvidia_smi_is_asked_without_format(tools: Path) -> None:
    tool(
        tools,
        "nvidia-smi",
        f'case "$*" in *--format*) echo "unknown option"; exit 1 ;; esac\n'
        f"cat {FIXTURES}/smi_a100.txt; exec sleep 60",
    )
    source = SmiDmon(interval_s=1.0)
    assert settled(source, "0", "power_w", 76.0)["1"]["power_w"] == 61.0
    source.close()


def test_a_tool_that_ends_or_falls_silent_is_dead(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tools, "nvidia-smi", f"cat {FIXTURES}/smi_a100.txt; sleep 0.3; echo gone; exit 7")
    source = SmiDmon(interval_s=1.0)
    time.sleep(0.6)
    with pytest.raises(SourceError, match="7.*gone"):
        source.read()
    source.close()
    tool(tools, "nvidia-smi", f"cat {FIXTURES}/smi_a100.txt; exec sleep 60")
    silent = SmiDmon(interval_s=0.1)
    silent._stream._stale_s = 0.0
    with pytest.raises(SourceError, match="nothing"):
        silent.read()
    silent.close()


class Dead:
    name = "dead"
    closed = False

    def read(self) -> Rows:
        raise SourceError("no word")

    def close(self) -> None:
        Dead.closed = True


def test_the_first_that_answers_is_taken(tools: Path) -> None:
    def absent() -> Source:
        raise SourceError("not here")

    tool(tools, "nvidia-smi", f"cat {FIXTURES}/smi_a100.txt; exec sleep 60")
    source, refused = choose([absent, Dead, lambda: SmiDmon(interval_s=1.0)])
    assert source is not None
    assert source.name == "nvidia-smi"
    assert refused == ["not here", "dead: no word"]
    assert Dead.closed
    source.close()
    assert choose([absent]) == (None, ["not here"])


def test_dcgm_is_never_more_than_a_second_behind(tools: Path) -> None:
    tool(tools, "dcgmi", DCGMI)
    Dcgm(interval_s=5.0).close()
    asked = (tools / "log").read_text().split()
    assert asked[asked.index("-d") + 1] == "1000"


def test_a_tool_is_not_waited_for_when_the_job_is_over(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_ROW_S", 20.0)
    tool(tools, "nvidia-smi", "exec sleep 60")
    start_s = time.monotonic()
    with pytest.raises(SourceError):
        SmiDmon(interval_s=1.0, should_stop=lambda: True)
    assert time.monotonic() - start_s < 10


def test_after_the_end_no_way_is_tried(tools: Path) -> None:
    def untouched() -> Source:
        raise AssertionError

    source, refused = choose([untouched], lambda: True)
    assert source is None
    assert refused
