import errno
import hashlib
import shutil
import socket
from collections import namedtuple

import pytest

from bench.preflight import storage
from bench.preflight.check import Report
from bench.preflight.collect import Answer
from bench.preflight.conf import CPU, DGX_B200
from bench.preflight.finding import Level, critical, ok, warn
from bench.preflight.page import NOT_MEASURED, SILENT, hardware_page
from bench.preflight.probes_node import cpu, nics, read_ports
from bench.preflight.report import as_json, table
from bench.preflight.services import Wandb, check_models, check_wandb
from bench.preflight.storage import check_folder, mount_type
from pipeline.core.machine import Machine
from pipeline.models.conf import FamilyName, ModelConfig
from tests.bench.preflight.nodes import node


def by_name(findings):
    return {finding.name: finding for finding in findings}


def host(root, *, governor="performance", balancing="0", num_ports=8, state="4: ACTIVE", gbps=400):
    for core in range(2):
        folder = root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor + "\n")
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/numa_balancing").write_text(balancing + "\n")
    for number in range(num_ports):
        folder = root / f"sys/class/infiniband/mlx5_{number}/ports/1"
        folder.mkdir(parents=True)
        (folder / "state").write_text((state if number == 0 else "4: ACTIVE") + "\n")
        (folder / "rate").write_text(f"{gbps} Gb/sec (4X NDR)\n")
        (folder / "link_layer").write_text("InfiniBand\n")
    return root


def test_a_tuned_host_with_all_its_ports_is_well(tmp_path):
    root = host(tmp_path)
    assert {f.level for f in [*cpu(DGX_B200, root), *nics(DGX_B200, root)]} == {Level.OK}
    assert [port.device for port in read_ports(root)] == [f"mlx5_{i}" for i in range(8)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"governor": "powersave"}, "cpu.governor"),
        ({"balancing": "1"}, "cpu.numa_balancing"),
        ({"state": "1: DOWN"}, "nics"),
        ({"gbps": 200}, "nics"),
        ({"num_ports": 7}, "nics"),
        ({"num_ports": 0}, "nics"),
    ],
)
def test_an_untuned_host_is_told_and_stops_nothing(tmp_path, change, name):
    root = host(tmp_path, **change)
    found = by_name([*cpu(DGX_B200, root), *nics(DGX_B200, root)])
    assert {n for n, f in found.items() if f.level is Level.WARN} == {name}
    # A laptop is not a server.
    assert {f.level for f in [*cpu(CPU, root), *nics(CPU, root)]} == {Level.OK}


def test_a_port_left_free_is_no_fault_while_enough_are_up(tmp_path):
    assert by_name(nics(DGX_B200, host(tmp_path, num_ports=10, state="1: DOWN")))["nics"].level == 0


def test_a_machine_that_says_nothing_of_itself_is_well(tmp_path):
    assert {f.level for f in cpu(DGX_B200, tmp_path)} == {Level.OK}


def test_a_good_folder_is_left_as_it_was(tmp_path):
    found = by_name(check_folder(tmp_path / "runs" / "deep"))
    assert found["runs.writable"].level is Level.OK
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_critical(tmp_path, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, "no", str(tmp_path))

    monkeypatch.setattr(storage.tempfile, "TemporaryDirectory", refuse)
    assert [f.level for f in check_folder(tmp_path)] == [Level.CRITICAL]


def test_a_file_system_without_locks_is_critical(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.fcntl, "flock", lambda *_: None)
    assert by_name(check_folder(tmp_path))["runs.writable"].level is Level.CRITICAL


@pytest.mark.parametrize(
    ("kind", "num_nodes", "level"),
    [
        ("ext4", 1, Level.OK),
        ("ext4", 2, Level.WARN),
        ("lustre", 2, Level.OK),
        ("fuse.juicefs", 2, Level.OK),
        ("tmpfs", 1, Level.WARN),
    ],
)
def test_several_nodes_want_a_shared_folder(tmp_path, monkeypatch, kind, num_nodes, level):
    monkeypatch.setattr(storage, "mount_type", lambda _: kind)
    found = by_name(check_folder(tmp_path, num_nodes=num_nodes))
    assert found["runs.shared"].level is level


@pytest.mark.parametrize(
    ("free_gib", "level"), [(500, Level.OK), (12, Level.WARN), (0.2, Level.CRITICAL)]
)
def test_room_is_told(tmp_path, monkeypatch, free_gib, level):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(int(free_gib * 2**30)))
    assert by_name(check_folder(tmp_path))["runs.free"].level is level


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /tmp rw - tmpfs tmpfs rw
31 22 0:40 / /scratch rw,relatime shared:5 - lustre 10.0.0.1@o2ib:/scratch rw,flock
32 31 0:41 / /scratch/my\\040data rw - nfs4 10.0.0.2:/data rw
33 30 0:42 / /tmp rw - xfs /dev/vdb rw
garbage
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me/runs", "ext4"),
        ("/tmp/x", "xfs"),
        ("/scratch/me", "lustre"),
        ("/scratchpad", "ext4"),
        ("/scratch/my data/runs", "nfs4"),
    ],
)
def test_a_folder_belongs_to_the_mount_nearest_above_it(tmp_path, folder, kind):
    assert mount_type(tmp_path.__class__(folder), MOUNTS) == kind


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_w_and_b_that_is_not_asked_for_is_not_reached_for(monkeypatch, mode):
    monkeypatch.setattr(socket, "create_connection", None)
    assert [f.level for f in check_wandb(Wandb(mode=mode))] == [Level.OK]


def test_a_mode_that_is_none_is_told():
    assert [f.level for f in check_wandb(Wandb(mode="dryrun"))] == [Level.WARN]


def test_w_and_b_is_reached_or_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        there = Wandb(mode="online", host="127.0.0.1", port=port, has_key=True)
        assert [f.level for f in check_wandb(there)] == [Level.OK]
        keyless = Wandb(mode="online", host="127.0.0.1", port=port)
        assert [f.level for f in check_wandb(keyless)] == [Level.WARN, Level.OK]
    assert [f.level for f in check_wandb(there)] == [Level.WARN]


def models(tmp_path, found, data=b"weights", **more):
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (folder / "a.safetensors").write_bytes(found)
    digest = hashlib.sha256(data).hexdigest()
    model = ModelConfig(
        family=FamilyName.pixelnano, path=folder, sha256={"a.safetensors": digest, **more}
    )
    return {"it": model}


def looked(given, tmp_path, *, limit_s=5.0, is_offline=False):
    [finding] = check_models(given, hub=tmp_path, is_offline=is_offline, limit_s=limit_s)
    return finding


def test_models_are_what_their_digests_say(tmp_path):
    assert looked(models(tmp_path, b"weights"), tmp_path).level is Level.OK
    wrong = looked(models(tmp_path, b"pointer"), tmp_path)
    assert wrong.level is Level.CRITICAL
    assert "a.safetensors" in wrong.found
    missing = looked(models(tmp_path, b"weights", **{"b.safetensors": "0" * 64}), tmp_path)
    assert missing.level is Level.CRITICAL
    assert "b.safetensors" in missing.found


def test_a_file_too_big_for_the_time_is_named_not_called_checked(tmp_path):
    finding = looked(models(tmp_path, b"pointer"), tmp_path, limit_s=0.0)
    assert finding.level is Level.OK
    assert "a.safetensors" in finding.found


def test_a_model_of_the_hub_is_wanted_only_where_the_hub_is_off(tmp_path):
    given = {"sdxl": ModelConfig(family=FamilyName.sdxl, repo="a/b", revision="0" * 40)}
    assert looked(given, tmp_path).level is Level.OK
    assert looked(given, tmp_path, is_offline=True).level is Level.WARN
    there = tmp_path / "models--a--b" / "snapshots" / ("0" * 40)
    there.mkdir(parents=True)
    (there / "model_index.json").write_text("{}")
    assert looked(given, tmp_path, is_offline=True).level is Level.OK


def test_a_report_shows_each_finding_and_what_to_do():
    findings = [ok("a", "fine"), warn("b", "so-so", todo="mend"), critical("c", "bad", todo="stop")]
    report = Report(profile="cpu", findings=findings, elapsed_s=0.1)
    text = table(report, host="n1")
    for word in ("n1", "fine", "so-so", "mend", "bad", "stop", "1 CRITICAL"):
        assert word in text
    value = as_json(report, host="n1", attempt="7.0")
    assert (value["level"], value["attempt"]) == ("CRITICAL", "7.0")
    assert [f["level"] for f in value["findings"]] == ["OK", "WARN", "CRITICAL"]


MACHINE = Machine(host="n1", system="Linux", cpu="Xeon", num_cores=112, memory_gib=2015.5)


def test_a_page_is_the_same_twice_and_tells_what_it_does_not_know(tmp_path):
    given = {"ports": read_ports(host(tmp_path)), "file_system": "lustre"}
    page = hardware_page(MACHINE, node(), **given)
    assert page == hardware_page(MACHINE, node(), **given)
    assert page.count("NVIDIA B200") == 8
    for word in ("NV18", "580.95.05", "lustre", "mlx5_7", "53.125", "1000.00", NOT_MEASURED):
        assert word in page
    assert "\x1b" not in hardware_page(MACHINE, node("hgx_h100"), **given)


@pytest.mark.parametrize("answers", [{}, dict.fromkeys(node(), Answer(text="<<garbage,,"))])
def test_a_page_of_a_machine_without_gpus_is_whole(answers):
    page = hardware_page(MACHINE, answers, ports=[], file_system="ext4")
    assert SILENT in page
    assert "NVIDIA" not in page
    for table_row in (line for line in page.splitlines() if line.startswith("|")):
        assert table_row.endswith("|")
