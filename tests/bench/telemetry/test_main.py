import subprocess
import sys
from pathlib import Path

import pytest

from bench.telemetry import __main__ as command
from bench.telemetry.summary import read_folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["telemetry", *arguments])
    return command.main()


def test_a_node_is_sampled_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert (
            run(monkeypatch, "--seconds", "0.3", "--interval", "0.1", "--out", str(tmp_path)) == 0
        )
    said = capsys.readouterr().out
    assert "rss_peak_mib" in said
    assert str(next(tmp_path.glob("*.jsonl"))) in said
    # Each appends its own.
    assert len(read_folder(tmp_path)) == 2


def test_beside_a_command_it_ends_with_the_commands_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--interval", "0.1", "--out", str(tmp_path), "--", sys.executable, "-c"]
    assert run(monkeypatch, *asked, "raise SystemExit(7)") == 7
    assert run(monkeypatch, *asked, "pass") == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--interval", "0"], "--interval"),
        (["--seconds", "-1"], "--seconds"),
        (["--", "/no/such/tool"], "/no/such/tool"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    word: str,
) -> None:
    assert run(monkeypatch, "--out", str(tmp_path), *arguments) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1


def test_it_loads_without_torch() -> None:
    code = "import sys, bench.telemetry.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
