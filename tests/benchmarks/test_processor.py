"""A processor's name: of two machines that are not the same kind it is never the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processor import composed, cpu_model, of_linux

EPYC = {"cpu family": "26", "model": "2", "model name": "AMD EPYC", "stepping": "1"}
NEOVERSE_N1 = {
    "Features": "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    "CPU implementer": "0x41",
    "CPU architecture": "8",
    "CPU variant": "0x3",
    "CPU part": "0xd0c",
    "CPU revision": "1",
}
"""Of AWS Graviton2 and of Ampere Altra alike, but for their clocks' BogoMIPS."""
APPLE_VIRTUAL = {"CPU implementer": "0x61", "CPU variant": "0x0", "CPU part": "0x000", "CPU revision": "0"}
"""Of a virtual machine on any of Apple's processors."""
ICESTORM = {"CPU implementer": "0x61", "CPU variant": "0x1", "CPU part": "0x022", "CPU revision": "1"}
FIRESTORM = ICESTORM | {"CPU part": "0x023"}
CORTEX_A72 = {"CPU implementer": "0x41", "CPU variant": "0x0", "CPU part": "0xd08", "CPU revision": "3"}
RASPBERRY = (
    "Hardware\t: BCM2711\nRevision\t: c03114\nSerial\t\t: 10000000deadbeef\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
)


@pytest.fixture
def linux(tmp_path):
    """The name that a Linux machine with these processors and files gets."""

    def name(processors, files=(), after="", host="host-7"):
        blocks = [
            "".join(f"{field}\t: {value}\n" for field, value in {"processor": number, **fields}.items()) + "\n"
            for number, fields in enumerate(processors)
        ]
        root = tmp_path / host
        for path, text in {"proc/cpuinfo": "".join(blocks) + after, **dict(files)}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return of_linux(root, host)

    return name


def firmware(vendor, product):
    folder = "sys/devices/virtual/dmi/id"
    return {f"{folder}/sys_vendor": f"{vendor}\n", f"{folder}/product_name": f"{product}\n"}


def test_processors_of_one_vendors_name_are_told_apart_by_their_generation_and_number(linux):
    named = linux([EPYC] * 2)
    assert named == "AMD EPYC (family 26, model 2, stepping 1; 2 CPUs)"
    xeon = {"cpu family": "6", "model": "85", "model name": "Intel(R) Xeon(R) CPU @ 2.20GHz", "stepping": "3"}
    names = {
        named,
        linux([EPYC | {"cpu family": "25", "model": "1"}] * 2, host="older"),
        linux([EPYC] * 64, host="larger"),
        linux([xeon] * 2, host="xeon"),
        linux([xeon | {"model": "79", "stepping": "0"}] * 2, host="older-xeon"),
    }
    assert len(names) == 5


def test_a_server_of_arm_is_named_by_its_product_and_its_parts(linux):
    named = linux([NEOVERSE_N1] * 16, firmware("Amazon EC2", "c6g.4xlarge"))
    assert named == "Amazon EC2 c6g.4xlarge (implementer 0x41, part 0xd0c, variant 0x3, revision 1; 16 CPUs)"
    assert named != linux([NEOVERSE_N1] * 16, firmware("GIGABYTE", "R152-P30-00"), host="altra")


def test_an_apple_under_linux_is_named_by_both_of_its_kinds_of_cores(linux):
    model = {"proc/device-tree/model": "Apple Mac mini (M1, 2020)\0"}
    assert linux([ICESTORM] * 4 + [FIRESTORM] * 4, model) == (
        "Apple Mac mini (M1, 2020) (implementer 0x61, part 0x022/0x023, variant 0x1, revision 1; 8 CPUs)"
    )


@pytest.mark.parametrize("mode", [{}, {"model name": "ARMv7 Processor rev 3 (v7l)"}], ids=["64 bit", "32 bit"])
def test_a_raspberry_pi_is_named_without_its_serial_number(linux, mode):
    model = {"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"}
    assert linux([mode | CORTEX_A72] * 4, model, RASPBERRY) == (
        "Raspberry Pi 4 Model B Rev 1.4 (implementer 0x41, part 0xd08, variant 0x0, revision 3; 4 CPUs)"
    )


@pytest.mark.parametrize(
    ("processor", "files"),
    [
        (NEOVERSE_N1, {}),
        (NEOVERSE_N1, firmware("QEMU", "KVM Virtual Machine")),
        (NEOVERSE_N1, {"proc/device-tree/model": "linux,dummy-virt\0"}),
        (APPLE_VIRTUAL, firmware("Apple Inc.", "Apple Virtualization Generic Platform")),
        ({"model name": "QEMU Virtual CPU version 2.5+", "cpu family": "15", "model": "107"}, {}),
        ({}, {}),
    ],
    ids=["container", "virtual machine", "micro VM", "virtual Mac", "virtual x86", "nothing known"],
)
def test_a_machine_that_has_no_name_of_its_own_is_no_other(linux, processor, files):
    ours, theirs = (linux([processor] * 2, files, host=host) for host in ("host-7", "host-11"))
    assert "of host-7" in ours
    assert ours != theirs


def test_a_mac_is_named_by_its_chip_and_the_number_of_its_cores():
    assert composed("Apple M1 Pro", [], 10, "host-7") == "Apple M1 Pro (10 CPUs)"
    assert composed("VirtualApple @ 2.50GHz", [], 5, "host-7") == "VirtualApple @ 2.50GHz of host-7 (5 CPUs)"
    assert "processor of host-7" in composed("", [], 1, "host-7")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's files")
def test_this_machines_name_is_what_the_kernel_says():
    named = cpu_model()
    assert named == cpu_model()
    assert f"{os.cpu_count()} CPU" in named
    info = Path("/proc/cpuinfo").read_text()
    for field in ("model name", "stepping", "CPU part"):
        assert all(value in named for value in re.findall(rf"^{field}\s*: (.*\S)", info, re.MULTILINE))
    said = subprocess.run(["lscpu"], capture_output=True, text=True, env={"LC_ALL": "C"}).stdout
    for field in ("Model", "CPU family", "Stepping"):
        assert all(value in named for value in re.findall(rf"^\s*{field}: +(\d+)$", said, re.MULTILINE))
