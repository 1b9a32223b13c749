"""Names this machine's processor, and counts what of it a process may use.

Two machines that may compute at different speeds have different names.
"""

import math
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks import cgroups

IDENTIFIERS = ("cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant", "CPU revision")
"""Fields of /proc/cpuinfo that differ between processors of one name: of x86, and of ARM."""
PLACEHOLDER = re.compile(r"virt|qemu|kvm|to be filled|default string", re.IGNORECASE)
"""Matches names that say nothing: those of any virtual machine of a kind, and those that nobody filled in."""


def cpu_model() -> str:
    """Returns the processor's name, with what distinguishes it from its namesakes.

    If neither the processor nor its machine has a name, this host's stands for it: its times are then compared with
    those of no other machine.
    """
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        return composed(asked.stdout.strip(), [], os.cpu_count() or 0, platform.node())
    return of_linux(Path("/"), platform.node())


def of_linux(root: Path, host: str) -> str:
    """Reads the name from the kernel's files under `root`. ARM's "model name", if any, is its architecture's."""
    fields: dict[str, list[str]] = defaultdict(list)
    for line in _text(root / "proc/cpuinfo").splitlines():
        field, _, value = (part.strip() for part in line.partition(":"))
        if value not in fields[field]:
            fields[field].append(value)
    vendor = "" if fields["CPU implementer"] else next(iter(fields["model name"]), "")
    identifiers = [f"{name.split()[-1]} {'/'.join(fields[name])}" for name in IDENTIFIERS if fields[name]]
    return composed(vendor or _product(root), identifiers, len(fields["processor"]), host)


def composed(name: str, identifiers: Sequence[str], cpus: int, host: str) -> str:
    """Composes the name, such as "AMD EPYC (family 26, model 2, stepping 1; 2 CPUs)"."""
    if not name or PLACEHOLDER.search(name):
        name = f"{name or f'{platform.machine()} processor'} of {host}"
    counted = [f"{cpus} CPU{'s' * (cpus != 1)}"] if cpus else []
    known = "; ".join([", ".join(identifiers)] * bool(identifiers) + counted)
    return f"{name} ({known})" if known else name


def _product(root: Path) -> str:
    """Returns the firmware's name of the machine, or ""."""
    firmware = root / "sys/devices/virtual/dmi/id"
    return _text(root / "proc/device-tree/model") or " ".join(
        filter(None, (_text(firmware / "sys_vendor"), _text(firmware / "product_name")))
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def available_threads() -> int:
    """Counts the threads that this process can compute with at once, by its processors and its time on them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroups.cpu_quota()
    return allowed if quota >= allowed else math.ceil(quota)
