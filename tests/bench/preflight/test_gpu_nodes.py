import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.preflight.check import Request, expected
from bench.preflight.collect import Answer
from bench.preflight.commands import GPU_COMMANDS
from bench.preflight.conf import CPU, DGX_B200, HGX_H100
from bench.preflight.finding import Level
from bench.preflight.formats import read_table, read_topology
from tests.bench.preflight.nodes import HUNG, MISSING, judged, node

HOST = {"cpu.governor", "cpu.numa_balancing", "nics"}
"""What is read from the machine the tests run on."""


@pytest.mark.parametrize(("name", "profile"), [("dgx_b200", DGX_B200), ("hgx_h100", HGX_H100)])
@pytest.mark.parametrize("is_auto", [True, False])
def test_a_healthy_node_is_healthy(name, profile, is_auto):
    found = judged(node(name), profile=None if is_auto else profile)
    assert {f.name: f for f in found.values() if f.level and f.name not in HOST} == {}
    looked_at = {"gpu.count", "gpu.model", "gpu.memory", "driver", "mig", "topology", "nvlink"}
    looked_at |= {"fabric", "power", "clocks", "ecc", "row_remap", "recovery", "xid", "pmix"}
    assert set(found) >= looked_at | {"pyxis", "enroot", "torch", "cuda", "nccl"}


@pytest.mark.parametrize(
    ("fault", "name", "level", "said"),
    [
        ("seven_gpus", "gpu.count", Level.CRITICAL, r"7 GPUs.*GPU3"),
        ("seven_gpus", "xid", Level.CRITICAL, r"Xid 79 on 0000:61:00"),
        ("dead_link", "nvlink", Level.CRITICAL, r"GPU 5: 17 links"),
        ("slow_link", "nvlink", Level.CRITICAL, r"GPU 2: 1 links at 26\.562"),
        ("no_nvlink", "topology", Level.CRITICAL, r"GPU2-GPU3 NODE"),
        ("no_nvlink", "fabric", Level.CRITICAL, r"In Progress"),
        ("old_driver", "driver", Level.CRITICAL, r"570\.86\.15.*570\.133\.20"),
        ("old_driver", "cuda", Level.CRITICAL, r"13\.0.*12\.8.*580"),
        ("remap_pending", "row_remap", Level.CRITICAL, r"pending.*00000000:D1:00\.0"),
        ("remap_pending", "ecc", Level.CRITICAL, r"GPU 6: 1"),
        ("remap_failed", "row_remap", Level.CRITICAL, r"failed.*00000000:1B:00\.0"),
        ("worn_memory", "ecc", Level.WARN, r"GPU 1: 3"),
        ("ecc_off", "ecc", Level.WARN, r"GPU 1"),
        ("wants_reset", "xid", Level.CRITICAL, r"Xid 119.*Xid 154.*GPU Reset Required.*reset"),
        ("wants_reset", "recovery", Level.CRITICAL, r"0000:9d:00: Reset"),
        ("capped_power", "power", Level.WARN, r"700 W each.*1000 W"),
        ("throttled", "clocks", Level.WARN, r"GPU 3: hw_slowdown, GPU 3: hw_thermal"),
        ("mig_on", "mig", Level.CRITICAL, r"GPU 0, 1.*dgx_b200_mig"),
        ("needs_reset", "gpu.answers", Level.CRITICAL, r"GPU 4"),
        ("garbage", "gpu.count", Level.CRITICAL, r"no table"),
        ("garbage", "torch", Level.WARN, r"Illegal instruction"),
        ("no_containers", "pyxis", Level.WARN, r"container"),
        ("no_containers", "pmix", Level.WARN, r"pmix"),
        ("unknown_field", "clocks", Level.WARN, r"not a valid field"),
    ],
)
def test_a_fault_is_found_named_and_says_what_to_do(fault, name, level, said):
    finding = judged(node("dgx_b200", fault), profile=DGX_B200)[name]
    assert finding.level is level
    assert re.search(said, str(finding)), str(finding)
    assert finding.todo


@pytest.mark.parametrize("fault", ["was_reset", "application_xid"])
def test_what_is_over_or_is_the_applications_stops_nothing(fault):
    finding = judged(node("dgx_b200", fault))["xid"]
    assert finding.level is Level.OK


def test_a_reset_of_yesterday_is_a_warning_when_the_driver_wants_nothing_today():
    answers = node("dgx_b200", "wants_reset") | {"details": node()["details"]}
    assert judged(answers)["xid"].level is Level.WARN


def test_a_driver_that_never_tells_may_have_been_reset_and_stops_nothing():
    answers = node("dgx_b200", "wants_reset")
    silent = re.sub(r"    GPU Recovery Action .*\n", "", answers["details"].text)
    assert judged(answers | {"details": Answer(text=silent)})["xid"].level is Level.WARN
    # One that was not heard may yet say so.
    assert judged(answers | {"details": HUNG})["xid"].level is Level.CRITICAL


def test_a_lost_gpu_stays_lost_whatever_the_others_say():
    answers = node("dgx_b200", "seven_gpus") | {"details": node()["details"]}
    assert judged(answers)["xid"].level is Level.CRITICAL


def test_a_fault_of_another_jobs_gpu_does_not_stop_this_one():
    answers = node("dgx_b200", "seven_gpus") | {"gpus": node()["gpus"]}
    table = answers["gpus"].text.splitlines()
    answers["gpus"] = Answer(text="\n".join(table[:2]))
    assert judged(answers, num_gpus=1)["xid"].level is Level.WARN
    # Here one of its own is missing, and it may be that one.
    assert judged(answers, num_gpus=2)["xid"].level is Level.CRITICAL


def test_the_journal_helps_where_dmesg_is_forbidden():
    log = node("dgx_b200", "seven_gpus")["kernel_log"]
    forbidden = Answer(text="dmesg: read kernel buffer failed", trouble="status 1")
    assert judged(node(kernel_log=forbidden, journal=log))["xid"].level is Level.CRITICAL
    unknown = judged(node(kernel_log=forbidden, journal=Answer()))["xid"]
    assert unknown.level is Level.WARN


@pytest.mark.parametrize("question", [name for name in GPU_COMMANDS if name != "journal"])
@pytest.mark.parametrize("answer", [HUNG, MISSING, Answer(), Answer(text='\x00,\n"<<')])
def test_one_question_without_an_answer_spoils_no_other(question, answer):
    if (question, answer) == ("gpus", MISSING):
        return  # that is a machine without GPUs: see below
    whole, found = judged(node()), judged(node(**{question: answer}))
    assert question != "gpus" or found["gpu.count"].level is Level.CRITICAL
    assert all(f.level < Level.CRITICAL for f in found.values()) or question == "gpus"
    # What the answer was not needed for is as it was; the rest is not silently well.
    lost = {name for name in whole if name not in found}
    assert len(lost) <= 2 or question == "gpus", lost


@pytest.mark.parametrize("name", ["mig", "power", "ecc", "remap", "topology", "nvlink", "throttle"])
def test_a_check_that_did_not_take_place_is_not_called_well(name):
    found = judged(node(**{name: HUNG}))
    probe = {"remap": "row_remap", "throttle": "clocks"}.get(name, name)
    assert found[probe].level is Level.WARN


def test_without_gpus_nothing_is_said_of_gpus():
    torch = {"torch": "2.13.0+cpu", "cuda": None, "nccl": None, "num_gpus": 0, "archs": []}
    found = judged(dict.fromkeys(node(), MISSING) | {"torch": Answer(text=json.dumps(torch))})
    assert max(finding.level for finding in found.values()) is Level.OK
    assert not {"driver", "topology", "xid", "power"} & set(found)


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ("700.00, 700.00, 1000.00", Level.OK),  # as delivered
        ("600.00, 600.00, 1000.00", Level.WARN),
        ("700.00, [N/A], [N/A]", Level.WARN),
        ("[N/A], [N/A], [N/A]", Level.OK),
    ],
)
def test_a_limit_is_held_against_the_cards_own_default(told, level):
    text = node()["power"].text.replace("1000.00, 1000.00, 1000.00", told)
    finding = judged(node(power=Answer(text=text)))["power"]
    assert finding.level is level
    assert ("700" in finding.found) == ("700" in told)


def test_a_job_of_gpus_on_a_machine_without_a_driver_is_not_well():
    assert judged(dict.fromkeys(node(), MISSING), num_gpus=8)["gpu.count"].level is Level.CRITICAL
    assert judged(dict.fromkeys(node(), MISSING), num_gpus=0)["gpu.count"].level is Level.OK


def test_memory_that_a_slice_is_not_told_is_unknown_not_wrong():
    found = judged(node("dgx_b200", "slice"), mig=True, num_gpus=1)
    assert found["gpu.memory"].level is Level.WARN
    assert not [f for f in found.values() if f.level is Level.CRITICAL]


@pytest.mark.parametrize(
    "name", ["NVIDIA GB200", "NVIDIA H100 NVL", "NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM2e"]
)
def test_a_card_of_a_like_name_is_not_held_to_a_board(name):
    text = node("hgx_h100")["gpus"].text.replace("NVIDIA H100 80GB HBM3", name)
    answers = node("hgx_h100", gpus=Answer(text=text))
    assert expected(Request(runs_dir=Path()), answers).name == "other"


def test_other_links_than_known_are_told_and_only_a_pair_without_stops():
    board = node("hgx_h100")
    fewer = Answer(text=board["topology"].text.replace("NV18", "NV6"))
    assert judged(board | {"topology": fewer})["topology"].level is Level.WARN
    apart = Answer(text=fewer.text.replace("NV6", "SYS", 1))
    finding = judged(board | {"topology": apart})["topology"]
    assert finding.level is Level.CRITICAL
    assert "NV6" not in finding.found


FAULTS = {
    "mig_on": {0, 1}, "remap_pending": {6}, "remap_failed": {0}, "wants_reset": {4},
    "dead_link": {5}, "slow_link": {2}, "no_nvlink": {2}, "needs_reset": {4},
    "seven_gpus": {3},
}  # fmt: skip
"""Faults that stop a job, and the GPUs that have them."""


@pytest.mark.parametrize(("fault", "bad"), FAULTS.items())
@pytest.mark.parametrize("is_uuid", [False, True])
def test_only_a_jobs_own_gpus_stop_it(fault, bad, is_uuid):
    answers = node("dgx_b200", fault)

    def levels(*gpus: int) -> set[Level]:
        names = [f"GPU-{i:08}" if is_uuid else str(i) for i in gpus]
        found = judged(answers, visible=tuple(names), num_gpus=len(names))
        return {finding.level for finding in found.values()}

    well = sorted({*range(8)} - bad)
    assert Level.CRITICAL not in levels(*well[:2])
    assert Level.CRITICAL in levels(*bad, well[-1])


def test_a_jobs_only_gpu_that_is_lost_is_missed():
    found = judged(node("dgx_b200", "seven_gpus"), visible=("3",), num_gpus=1)["gpu.count"]
    assert found.level is Level.CRITICAL
    assert "(3)" in found.found


@pytest.mark.parametrize("fault", [*sorted(FAULTS), "worn_memory", "throttled", "garbage"])
def test_a_job_of_all_gpus_is_told_the_same_as_their_administrator(fault):
    answers = node("dgx_b200", fault)
    assert judged(answers, visible=tuple("01234567")) == judged(answers)
    # Of slices no table tells whose they are.
    assert judged(answers, visible=("MIG-1",)) == judged(answers)


def test_torch_that_cannot_be_loaded_says_why():
    traceback = (
        "Traceback (most recent call last):\n  File\nModuleNotFoundError: No module 'torch'\n"
    )
    found = judged(node(torch=Answer(text=traceback, trouble="status 1")))["torch"]
    assert "ModuleNotFoundError" in found.found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"cuda": None}, "torch"),
        ({"num_gpus": 0}, "torch.gpus"),
        ({"archs": ["sm_80", "sm_90"]}, "torch.arch"),
    ],
)
def test_a_torch_that_does_not_fit_the_gpus_is_critical(change, name):
    told = json.loads(node()["torch"].text) | change
    assert judged(node(torch=Answer(text=json.dumps(told))))[name].level is Level.CRITICAL


def test_a_driver_that_hangs_is_not_a_machine_without_gpus():
    for answer in (HUNG, Answer(text="No devices were found\n", trouble="status 6")):
        found = judged(node(gpus=answer))["gpu.count"]
        assert found.level is Level.CRITICAL
        assert judged(node(gpus=answer), profile=CPU)["gpu.count"].level is Level.OK


def test_a_job_is_held_to_what_it_was_given():
    one = "\n".join(node()["gpus"].text.splitlines()[:2])
    assert judged(node(gpus=Answer(text=one)), num_gpus=1)["gpu.count"].level is Level.OK
    assert judged(node(gpus=Answer(text=one)), num_gpus=2)["gpu.count"].level is Level.CRITICAL
    assert judged(node(), num_gpus=2)["gpu.count"].level is Level.WARN


def test_a_job_of_slices_wants_them_cut():
    assert judged(node("dgx_b200", "mig_on"), mig=True)["mig"].level is Level.OK
    assert judged(node(), mig=True)["mig"].level is Level.CRITICAL
    # Slices are not joined: their links have nothing to say.
    assert "topology" not in judged(node("dgx_b200", "mig_on", "no_nvlink"), mig=True)


def test_the_wrong_node_is_not_the_right_one():
    found = judged(node("hgx_h100"), profile=DGX_B200)
    assert found["gpu.model"].level is Level.CRITICAL
    assert found["gpu.memory"].level is Level.CRITICAL


def test_a_gpu_that_nobody_described_is_told_not_judged():
    known = node("hgx_h100")
    text = known["gpus"].text.replace("NVIDIA H100 80GB HBM3", "NVIDIA L40S")
    found = judged(known | {"gpus": Answer(text=text)})
    assert max(f.level for f in found.values()) is Level.OK


@given(st.integers(2, 8), st.data())
def test_a_matrix_names_the_pair_that_is_apart(size, data):
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    odd = data.draw(st.sampled_from(pairs))
    cells = {(a, b): "SYS" if (min(a, b), max(a, b)) == odd else "NV18"
             for a in range(size) for b in range(size)}  # fmt: skip
    text = "\t" + "\t".join(f"GPU{i}" for i in range(size)) + "\tCPU Affinity\n"
    for a in range(size):
        row = [" X " if a == b else cells[a, b] for b in range(size)]
        text += f"GPU{a}\t" + "\t".join(row) + "\t0-55\n"
    joined = read_topology(text)
    apart = {tuple(sorted(pair)) for pair, kind in joined.items() if kind != "NV18"}
    assert apart == {(f"GPU{odd[0]}", f"GPU{odd[1]}")}
    assert len(joined) == size * (size - 1)


@given(st.text(max_size=300))
def test_no_text_breaks_a_reader(text):
    answers = dict.fromkeys(node(), Answer(text=text))
    judged(answers, profile=DGX_B200)
    assert read_table(text, "index") == [] or "index" in text


def test_every_fixture_answers_a_question_that_is_asked():
    names = {path.stem for path in (Path(__file__).parent / "fixtures").glob("*/*.txt")}
    assert names <= set(GPU_COMMANDS) | {"mpi", "srun_help", "enroot", "torch"}
