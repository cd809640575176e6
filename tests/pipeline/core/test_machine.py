import dataclasses
import json

from pipeline.core.machine import describe, read_machine, read_packages
from pipeline.core.nvml import Nvml, open_nvml
from tests.fakes.nvml import FakeNvml, NVMLError, dgx_b200


def test_this_machine_can_be_told_as_json():
    machine = read_machine()
    assert machine.num_cores >= 1
    assert machine.memory_gib > 0.1
    assert machine.cpu in machine.hardware or machine.gpus
    assert json.loads(json.dumps(dataclasses.asdict(machine)))["host"] == machine.host


def test_a_dgx_b200_is_told_with_its_limits():
    machine = describe(Nvml(dgx_b200()))
    assert machine.hardware == "8 x NVIDIA B200"
    assert (machine.driver, machine.cuda_driver) == ("580.95.05", "13.0")
    gpu = machine.gpus[7]
    assert (gpu.index, gpu.memory_mib, gpu.power_limit_w) == (7, 183359, 1000.0)
    assert (gpu.ecc, gpu.mig, gpu.sm_clock_max_mhz) == (True, False, 1965)


def test_what_a_driver_does_not_support_is_none_and_takes_nothing_with_it():
    library = dgx_b200()
    del library.answers["DeviceGetEccMode"]
    machine = describe(Nvml(library))
    assert machine.gpus[0].ecc is None
    assert machine.gpus[0].mig is False


def test_without_a_driver_there_is_no_nvml():
    with open_nvml(FakeNvml(driver=False)) as nvml:
        assert nvml is None
        assert describe(nvml).gpus == ()


def test_the_versions_of_what_computes_are_told():
    assert {"torch", "diffusers", "numpy"} <= set(read_packages())


def test_a_gpu_that_is_lost_takes_no_other_with_it():
    def lost(index: int) -> int:
        if index == 5:
            raise NVMLError("GPU is lost")
        return index

    with open_nvml(dgx_b200(DeviceGetHandleByIndex=lost)) as nvml:
        assert describe(nvml).hardware == "7 x NVIDIA B200"
