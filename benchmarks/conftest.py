"""What would let pytest-benchmark pass without having compared or timed anything is an error here."""

import json
from pathlib import Path
from typing import Any

import pytest

MACHINE = ("brand_raw", "count", "arch")
"""What of pytest-benchmark's account of the processor tells one machine from another; the clock's rate varies."""


def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-benchmark looks at its baseline, for which it would only warn. One may be a file or a saved run."""
    baseline = config.getoption("benchmark_compare", None)
    if isinstance(baseline, str) and baseline.endswith(".json"):
        try:
            json.loads(Path(baseline).read_bytes())["benchmarks"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise pytest.UsageError(f"the baseline cannot be read ({reason}): nothing would be compared") from None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(machine_info: dict[str, Any], compared_benchmark: dict[str, Any]) -> None:
    """pytest-benchmark itself only warns."""
    here, there = (
        [info.get("cpu", {}).get(name) for name in MACHINE] for info in (machine_info, _machine(compared_benchmark))
    )
    if here != there:
        raise pytest.UsageError(f"the baseline is of a different machine ({there}, here {here}): its times say nothing")


def _machine(baseline: dict[str, Any]) -> dict[str, Any]:
    found = baseline.get("machine_info")
    return found if isinstance(found, dict) else {}


def pytest_collection_finish(session: pytest.Session) -> None:
    """A baseline that could not be read, or that has none of what is timed, compares nothing."""
    if not session.config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("pytest-benchmark is switched off (-p no:benchmark): nothing would be timed")
    benchmarks = session.config._benchmarksession  # type: ignore[attr-defined]  # pytest-benchmark's own place for it
    if not benchmarks.compare:
        return
    if not benchmarks.compared_mapping:
        raise pytest.UsageError(f"there is no baseline {benchmarks.compare!r}: nothing would be compared")
    timed = {item.nodeid for item in session.items if "benchmark" in getattr(item, "fixturenames", ())}
    for path, baseline in benchmarks.compared_mapping.items():
        missing = sorted(timed - baseline.keys())
        if missing:
            raise pytest.UsageError(f"the baseline {path} is of other cases: it has no {', '.join(missing[:3])}")
