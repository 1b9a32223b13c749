"""Reads what Linux's control groups, of which containers and batch systems are made, leave to this process.

Groups are of version 1 or 2. The process's own group and all above it count, as far as they can be seen from here.
`root` is the folder that holds `proc` and `sys`.
"""

import math
from pathlib import Path, PurePosixPath

NONE = math.inf


def cpu_quota(root: Path = Path("/")) -> float:
    """Returns how many processors' whole time this process may take; infinity without a quota."""
    return min(map(_quota, _groups("cpu", root)), default=NONE)


def free_memory_bytes(root: Path = Path("/")) -> float:
    """Returns the memory that this process may still take, file caches included; infinity without a limit."""
    return min(map(_free_bytes, _groups("memory", root)), default=NONE)


def _groups(controller: str, root: Path) -> list[Path]:
    """Finds the folders of this process's groups, nearest first, wherever the controller is mounted."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for mount in _lines(root / "proc/self/mountinfo"):
            place, _, what = mount.partition(" - ")
            _, _, _, top, point, *_ = place.split(" ")
            system, *_, options = what.split(" ")
            if system != ("cgroup" if controllers else "cgroup2"):
                continue
            if controllers and controller not in options.split(","):
                continue
            own = PurePosixPath(path)  # may be outside of what is mounted here
            below = own.relative_to(top) if own.is_relative_to(top) and ".." not in own.parts else PurePosixPath()
            folder = root / point.lstrip("/")
            found += [folder / part for part in (below, *below.parents)]
    return found


def _quota(group: Path) -> float:
    """Reads one group's quota, of either version: "max" and -1 are none."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else NONE
    except (OSError, ValueError):
        return NONE


def _free_bytes(group: Path) -> float:
    """Reads one group's free bytes, of either version: "max" is no limit, and version 1 has totals of all below."""
    for limit, used, cache in (
        ("memory.max", "memory.current", ("inactive_file", "active_file")),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
    ):
        try:
            most, taken = int((group / limit).read_text()), int((group / used).read_text())
        except (OSError, ValueError):
            continue
        counts = dict(line.split() for line in _lines(group / "memory.stat"))
        return max(0, most - taken + sum(int(counts.get(name, 0)) for name in cache))
    return NONE


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
