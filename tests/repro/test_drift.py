"""What changed between two smoke records."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import InputError
from repro.drift import Change, compare_smokes, conclusion
from repro.record import read_smoke
from repro.smoke import write_smoke
from tests.repro.made import environment, smoke

CHECKED = {"by": "hash", "passed": True}


@pytest.fixture
def earlier(tmp_path: Path) -> dict[str, Any]:
    told = environment(packages={"numpy": "2.4.6", "pillow": "13.0.0"})
    return write_smoke(tmp_path / "smoke.json", smoke(), environment=told, checked=CHECKED)


def changed(earlier: dict[str, Any], *path: Any, value: Any) -> list[Change]:
    now = copy.deepcopy(earlier)
    *parents, last = path
    place: Any = now
    for part in parents:
        place = place[part]
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return compare_smokes(earlier, now)


def test_nothing_changed(earlier: dict[str, Any]) -> None:
    assert compare_smokes(earlier, earlier) == []


@pytest.mark.parametrize(
    ("path", "value", "kind", "words"),
    [
        (("environment", "packages", "pillow"), "12.0.0", "version", ["pillow", "13.0.0", "12.0"]),
        (("environment", "packages", "pillow"), None, "version", ["pillow", "13.0.0", "none here"]),
        (("environment", "packages", "peft"), "0.21.2", "version", ["peft", "none here", "0.21.2"]),
        (("environment", "torch"), "2.14.0+cu130", "version", ["torch", "2.13.0+cpu", "2.14.0"]),
        (("environment", "driver"), "580.95.05", "version", ["driver", "none here", "580.95.05"]),
        (("environment", "cpu_capability"), "AVX2", "machine", ["AVX512", "AVX2"]),
        (("environment", "gpus"), [{"name": "NVIDIA B200"}], "machine", ["1 x NVIDIA B200"]),
        (("device",), "cuda", "machine", ["device", "cpu", "cuda"]),
        (("settings", "seed"), 5, "settings", ["seed", "0", "5"]),
        (("weights_sha256",), "f" * 64, "weights", ["eeeeeeeeeeee", "ffffffffffff"]),
        (("pictures", 1, "pixels_sha256"), "d" * 64, "picture", ["000000001.png", "blue potion"]),
    ],
)
def test_what_may_decide_a_result_is_named_alone(
    earlier: dict[str, Any], path: tuple[Any, ...], value: Any, kind: str, words: list[str]
) -> None:
    (change,) = changed(earlier, *path, value=value)
    assert (change.kind, change.counts) == (kind, True)
    assert all(word in str(change) for word in words), str(change)
    assert "\n" not in str(change)


@pytest.mark.parametrize(
    ("path", "value", "kind", "note"),
    [
        (("environment", "commit"), "d" * 40, "code", ""),
        (("environment", "dirty"), True, "code", ""),
        (("speed", "rate_img_per_s"), 7.5, "speed", "1.50 times"),
        (("speed", "latency_p95_s"), 0.145, "speed", "0.50 times"),
        (("peak_memory_mib",), 1000.0, "memory", "2.00 times"),
    ],
)
def test_code_and_speed_are_told_and_do_not_count(
    earlier: dict[str, Any], path: tuple[Any, ...], value: Any, kind: str, note: str
) -> None:
    (change,) = changed(earlier, *path, value=value)
    assert (change.kind, change.counts, change.note) == (kind, False, note)


def test_a_gpu_at_another_power_limit_is_named(earlier: dict[str, Any]) -> None:
    gpu = {"index": 0, "name": "NVIDIA B200", "power_limit_w": 1000.0}
    earlier["environment"]["gpus"] = [gpu]
    (change,) = changed(earlier, "environment", "gpus", 0, "power_limit_w", value=700.0)
    assert (change.kind, change.what) == ("machine", "gpu 0 power_limit_w")


def test_what_was_not_measured_is_no_change_of_speed(earlier: dict[str, Any]) -> None:
    assert changed(earlier, "speed", "rate_img_per_s", value=None) == []


def test_what_counts_comes_first_and_is_counted(earlier: dict[str, Any]) -> None:
    now = copy.deepcopy(earlier)
    now["environment"] |= {"commit": "d" * 40, "python": "3.12.0"}
    now["pictures"][2]["pixels_sha256"] = "d" * 64
    changes = compare_smokes(earlier, now)
    assert [change.counts for change in changes] == [True, True, False]
    assert conclusion(changes).startswith("1 pictures differ; 1 other")


def test_a_record_is_found_in_a_run_and_in_a_baseline(
    earlier: dict[str, Any], tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"bench": "smoke", "extra": {"smoke": earlier}}))
    for path in (tmp_path, tmp_path / "smoke.json", baseline):
        assert read_smoke(path) == earlier


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"form', '{"format": "dgx-pixels-smoke/1"}', '{"extra": {"smoke": 3}}'],
)
def test_what_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        read_smoke(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"b\.json"):
        read_smoke(tmp_path / "b.json")


def test_the_command_names_changes_and_ends_with_their_status(
    earlier: dict[str, Any], tmp_path: Path
) -> None:
    def drift(*files: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "repro.drift", *files], capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    record = str(tmp_path / "smoke.json")
    same = drift(record, record)
    assert (same.returncode, same.stdout.count("\n")) == (0, 1)
    earlier["environment"]["packages"]["numpy"] = "1.0"
    (tmp_path / "now.json").write_text(json.dumps(earlier))
    other = drift(record, str(tmp_path / "now.json"))
    assert other.returncode == 1
    assert "numpy: 2.4.6 -> 1.0" in other.stdout
    absent = drift(record, str(tmp_path / "absent.json"))
    assert (absent.returncode, absent.stderr.count("\n")) == (2, 1)
