"""What would let pytest-benchmark pass without having compared or timed anything is an error here."""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processor import cpu_model

MACHINE = ("brand_raw", "count", "arch")
"""What of pytest-benchmark's account of the processor tells one machine from another; the clock's rate varies."""


CONDITIONS = ("batch", "backend", "jit", "precision", "device", "threads")
"""What of `extra_info` must be the same for two times to be compared; parameters and multiply-adds may change."""


def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-benchmark looks at its baseline, for which it would only warn. One may be a file or a saved run."""
    if config.getoption("benchmark_skip", None):
        raise pytest.UsageError("--benchmark-skip leaves out every case: nothing would be timed")
    baseline = config.getoption("benchmark_compare", None)
    if isinstance(baseline, str) and baseline.endswith(".json") and not glob.has_magic(baseline):
        try:
            json.loads(Path(baseline).read_bytes())["benchmarks"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise pytest.UsageError(f"the baseline cannot be read ({reason}): nothing would be compared") from None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """pytest-benchmark has no name for ARM's processors, and the same for many of a cloud's."""
    machine_info["cpu"]["brand_raw"] = cpu_model()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(machine_info: dict[str, Any], compared_benchmark: dict[str, Any]) -> None:
    """pytest-benchmark itself only warns."""
    here, there = (
        [info.get("cpu", {}).get(name) for name in MACHINE] for info in (machine_info, _machine(compared_benchmark))
    )
    if here != there or not any(there):
        raise pytest.UsageError(f"the baseline is of a different machine ({there}, here {here}): its times say nothing")


def _machine(baseline: dict[str, Any]) -> dict[str, Any]:
    found = baseline.get("machine_info")
    return found if isinstance(found, dict) else {}


def pytest_collection_finish(session: pytest.Session) -> None:
    """A baseline that could not be read, or that has none of what is timed, compares nothing."""
    if not session.config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("pytest-benchmark is switched off (-p no:benchmark): nothing would be timed")
    benchmarks = _session(session.config)
    if not benchmarks.compare:
        return
    if not benchmarks.compared_mapping:
        raise pytest.UsageError(f"there is no baseline {benchmarks.compare!r}: nothing would be compared")
    timed = {item.nodeid for item in session.items if "benchmark" in getattr(item, "fixturenames", ())}
    for path, baseline in benchmarks.compared_mapping.items():
        missing = sorted(timed - baseline.keys())
        if missing:
            raise pytest.UsageError(f"the baseline {path} is of other cases: it has no {', '.join(missing[:3])}")
        lost = sorted(baseline.keys() - timed)
        if lost and not _chosen(session.config):
            raise pytest.UsageError(f"cases of the baseline {path} are not there: {', '.join(lost[:3])}")


def _session(config: pytest.Config) -> Any:
    """pytest-benchmark's own place for what it compares with."""
    return config._benchmarksession  # type: ignore[attr-defined]


def _chosen(config: pytest.Config) -> bool:
    """Whether only some cases were asked for."""
    return bool(config.getoption("keyword") or config.getoption("markexpr") or any("::" in a for a in config.args))


@pytest.fixture(autouse=True)
def under_the_conditions_of_the_baseline(request: pytest.FixtureRequest) -> Iterator[None]:
    """A step that was timed on another backend, batch or number of threads says nothing of this one."""
    yield
    benchmark = request.node.funcargs.get("benchmark")
    for path, baseline in _session(request.config).compared_mapping.items() if benchmark else ():
        there = baseline[request.node.nodeid].get("extra_info", {})
        differing = [
            f"{name} {there.get(name)}, here {benchmark.extra_info.get(name)}"
            for name in CONDITIONS
            if there.get(name) != benchmark.extra_info.get(name)
        ]
        if differing:
            pytest.fail(f"the baseline {path} was timed otherwise: {'; '.join(differing)}")
