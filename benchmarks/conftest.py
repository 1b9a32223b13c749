"""A baseline of another machine is an error of pytest-benchmark's comparison, which itself only warns."""

from typing import Any

import pytest

from benchmarks.processor import cpu_model


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """pytest-benchmark has no name for ARM's processors, and the same for many of a cloud's."""
    machine_info["cpu"]["brand_raw"] = cpu_model()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(machine_info: dict[str, Any], compared_benchmark: dict[str, Any]) -> None:
    here, there = (info["cpu"].get("brand_raw") for info in (machine_info, compared_benchmark["machine_info"]))
    if here != there:
        raise pytest.UsageError(f"the baseline is of a different machine ({there}, here {here}): its times say nothing")
