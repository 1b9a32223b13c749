"""A run leaves no temporary file behind, not even where it is killed and can do nothing about it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "benchmarks.run", "--suite", "scaling", "--variant", "vit-fused"]


@pytest.fixture
def temporary(tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def test_a_run_of_step_times_leaves_nothing(tmp_path, temporary):
    """TensorFlow writes a file for each function that it traces, and removes it in no fork."""
    subprocess.run(
        [*COMMAND, "--set", "core.patches=13", "--set", "core.processes=1", "--out", str(tmp_path / "run")],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("moment", ["*", "*/*/__autograph_generated_file*"], ids=["starting", "timing"])
def test_a_killed_run_leaves_nothing(tmp_path, temporary, moment):
    """Killed as its folder is made, when nothing is imported yet, or once TensorFlow has written a file."""
    process = subprocess.Popen(
        [*COMMAND, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    wait_until(lambda: any(temporary.glob(moment)), 60)
    if moment == "*":
        wait_until(lambda: any(temporary.glob("*/listener-*")), 10)  # the process that workers are forked from starts
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(temporary.iterdir()), 20)


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.005)
