"""A run leaves no temporary file behind, not even where it is killed and can do nothing about it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "benchmarks.run", "--suite", "scaling", "--variant", "vit-fused"]


@pytest.fixture
def temporary():
    """A short path: the name of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


def test_a_run_of_step_times_leaves_nothing(tmp_path, temporary):
    """TensorFlow writes a file for each function that it traces, and removes it in no fork."""
    sizes = ["core.patches=13", "core.processes=1", "model.patches=9", "model.processes=1"]
    subprocess.run(
        [*COMMAND, *(word for size in sizes for word in ("--set", size)), "--out", str(tmp_path / "run")],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert list(temporary.iterdir()) == []


def forks_workers(process):
    with contextlib.suppress(psutil.Error):  # a child that has just ended, such as git
        return any("multiprocessing.forkserver" in " ".join(child.cmdline()) for child in process.children())
    return False


MOMENTS = {
    "starting": lambda process, temporary: forks_workers(process),
    "timing": lambda process, temporary: any(temporary.glob("*/*/__autograph_generated_file*")),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux alone")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_leaves_nothing(tmp_path, temporary, moment, ending):
    """Killed when the process that workers are forked from has imported nothing, or once TensorFlow wrote a file."""
    process = psutil.Popen(
        [*COMMAND, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(temporary)},
        start_new_session=True,
    )
    wait_until(lambda: MOMENTS[moment](process, temporary), 60)
    assert any(temporary.iterdir())
    if ending == signal.SIGKILL:
        process.send_signal(ending)
    else:  # as a terminal that is closed, or `timeout`, does it
        os.killpg(process.pid, ending)
    process.wait()
    wait_until(lambda: not any(temporary.iterdir()), 20)


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.005)
