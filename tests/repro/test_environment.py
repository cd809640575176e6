"""The table and the JSON of what a result was made with, on a machine with and without GPUs."""

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.core.machine import describe
from pipeline.core.nvml import Nvml
from repro.environment import cpu_id, cudnn_text, dcgm_version, read_environment, table
from repro.record import NONE
from tests.fakes.nvml import dgx_b200

ORIGIN = {"commit": "c" * 40, "diff_sha256": None, "lock_sha256": "a" * 64}


def program(folder: Path, text: str) -> str:
    file = folder / "dcgmi"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("number", "text"), [(91002, "9.10.2"), (90100, "9.1.0"), (8902, "8.9.2"), (None, None)]
)
def test_cudnns_number_is_a_version(number: int | None, text: str | None) -> None:
    assert cudnn_text(number) == text


@pytest.mark.parametrize(
    ("script", "version"),
    [
        (r"printf '\ndcgmi  version: 4.7.0\n\n'", "4.7.0"),  # as DCGM 3.1 to 4.7 print it
        ("echo Version : 3.1.6", "3.1.6"),
        ("echo something else", None),
        ("exit 3", None),
    ],
)
def test_dcgm_tells_its_version_or_nothing(
    tmp_path: Path, script: str, version: str | None
) -> None:
    assert dcgm_version(program(tmp_path, script)) == version


def test_dcgm_that_is_not_there_or_cannot_run_is_none(tmp_path: Path) -> None:
    assert dcgm_version(str(tmp_path / "dcgmi")) is None
    broken = tmp_path / "dcgmi"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    assert dcgm_version(str(broken)) is None


def test_a_cpu_is_told_by_vendor_family_and_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
        "model name\t: Intel(R) Xeon(R)\n\nprocessor\t: 1\nvendor_id\t: other\n"
    )
    assert cpu_id(info) == "GenuineIntel 6/143"
    info.write_text("processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\n")
    assert cpu_id(info) is None
    assert cpu_id(tmp_path / "absent") is None


def test_a_dgx_is_told_gpu_by_gpu_without_serial_numbers() -> None:
    machine = describe(Nvml(dgx_b200()))
    told = read_environment(ORIGIN, seed=7, machine=machine)
    assert "GPU-0000000" not in json.dumps(dataclasses.asdict(told))
    assert machine.host not in dataclasses.asdict(told).values()
    lines = table(told).splitlines()
    assert sum("NVIDIA B200, 183359 MiB, 1000 W" in line for line in lines) == 8
    assert any(line.split() == ["driver", "580.95.05"] for line in lines)
    assert any("c" * 40 in line and "clean" in line for line in lines)
    assert any("run seed 7" in line for line in lines)
    starts = {line[: len(line) - len(line.split(None, 1)[1])] for line in lines if line[0] != "g"}
    assert len({len(start) for start in starts}) == 1, "values stand under each other"


def test_what_there_is_not_is_said() -> None:
    told = read_environment({}, seed=0, machine=describe(None))
    assert told.dirty is None
    found = dict(line.split(None, 1) for line in table(told).splitlines())
    for name in ("commit", "lock", "driver", "cuda_driver", "gpus"):
        assert found[name] == NONE
    changed = ORIGIN | {"diff_sha256": "d" * 64}
    assert read_environment(changed, seed=0, machine=describe(None)).dirty is True
