"""What a container leaves: folders as the kernel writes them for groups of either version, and this machine's own."""

import math
from pathlib import Path

import psutil
import pytest

from benchmarks.cgroups import cpu_quota, free_memory_bytes

MIB = 2**20
NO_LIMIT = 9223372036854771712
"""What version 1 says where there is none."""


@pytest.fixture
def machine(tmp_path):
    """A root folder with these groups and mounts, and files of groups."""

    def root(groups, mounts, files=()):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
        (tmp_path / "proc/self/mountinfo").write_text("22 1 8:1 / / rw,noatime - ext4 /dev/vda1 rw\n" + mounts)
        for path, text in dict(files).items():
            (tmp_path / "sys/fs/cgroup" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "sys/fs/cgroup" / path).write_text(f"{text}\n")
        return tmp_path

    return root


UNIFIED = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
SEPARATE = (
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {top} /sys/fs/cgroup/memory ro,nosuid master:15 - cgroup cgroup rw,memory\n"
)


def memory(limit, current, inactive=0, active=0):
    return {
        "memory.max": limit,
        "memory.current": current,
        "memory.stat": f"anon 1\nfile 2\ninactive_file {inactive}\nactive_file {active}",
    }


def memory_of_version_1(limit, usage, inactive=0):
    return {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": usage,
        "memory.stat": f"cache 3\ninactive_file 0\ntotal_inactive_file {inactive}\ntotal_active_file 0",
    }


def inside(folder, files):
    return {f"{folder}/{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("text", "processors"),
    [("200000 100000", 2), ("150000 100000", 1.5), ("50000 100000", 0.5), ("max 100000", math.inf)],
)
def test_a_containers_quota_is_in_processors(machine, text, processors):
    assert cpu_quota(machine("0::/\n", UNIFIED, {"cpu.max": text})) == processors


def test_the_strictest_of_nested_groups_counts(machine):
    files = {
        "cpu.max": "max 100000",
        "batch.slice/cpu.max": "300000 100000",
        "batch.slice/job-7/cpu.max": "700000 100000",
        **inside("batch.slice", memory(1100 * MIB, 1000 * MIB)),
        **inside("batch.slice/job-7", memory(700 * MIB, 300 * MIB)),
        **inside("batch.slice/job-7/step-2", memory("max", 200 * MIB)),
    }
    root = machine("0::/batch.slice/job-7/step-2\n", UNIFIED, files)
    assert cpu_quota(root) == 3
    assert free_memory_bytes(root) == 100 * MIB


def test_a_quota_of_version_1_counts_where_its_groups_own_folder_is_mounted_as_in_docker(machine):
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": 200000,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
        **inside("memory", memory_of_version_1(500 * MIB, 450 * MIB, inactive=300 * MIB)),
    }
    groups = "11:memory:/docker/c0ffee\n4:cpu,cpuacct:/docker/c0ffee\n1:name=systemd:/docker/c0ffee\n"
    root = machine(groups, SEPARATE.format(top="/docker/c0ffee"), files)
    assert cpu_quota(root) == 2
    assert free_memory_bytes(root) == 350 * MIB


def test_a_group_of_version_1_without_limits_has_none(machine):
    files = {
        "cpu,cpuacct/user/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/user/cpu.cfs_period_us": 100000,
        **inside("memory/user", memory_of_version_1(NO_LIMIT, 450 * MIB)),
    }
    root = machine("5:memory:/user\n4:cpu,cpuacct:/user\n", SEPARATE.format(top="/"), files)
    assert cpu_quota(root) == math.inf
    assert free_memory_bytes(root) > 2**60


def test_the_cache_of_files_is_free_and_what_is_free_is_not_less_than_nothing(machine):
    full_of_files = memory(1000 * MIB, 990 * MIB, inactive=500 * MIB, active=300 * MIB)
    root = machine("0::/\n", UNIFIED, full_of_files)
    assert free_memory_bytes(root) == 810 * MIB
    (root / "sys/fs/cgroup/memory.max").write_text(f"{100 * MIB}\n")
    assert free_memory_bytes(root) == 0


def test_a_process_outside_of_what_is_mounted_has_the_mounted_groups_limits(machine):
    root = machine("0::/../elsewhere\n", UNIFIED, {"cpu.max": "500000 100000"})
    assert cpu_quota(root) == 5


def test_where_there_are_no_groups_there_is_no_limit(machine, tmp_path):
    assert cpu_quota(tmp_path) == free_memory_bytes(tmp_path) == math.inf
    assert cpu_quota(machine("0::/\n", "", {"cpu.max": "200000 100000"})) == math.inf, "not mounted"


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="reads Linux's files")
def test_this_machines_own_groups_are_found():
    """The kernel lists this process in the files of its own groups, and what is taken is less than there is."""
    from benchmarks.cgroups import _groups

    nearest = [_groups(controller, Path("/"))[0] for controller in ("cpu", "memory")]
    for group in nearest:
        assert str(psutil.Process().pid) in (group / "cgroup.procs").read_text().split()
    assert cpu_quota() > 0
    assert free_memory_bytes() >= 0
