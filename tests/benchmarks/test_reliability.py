"""What a run does when it is killed, and when its folder fails it: nothing is lost, and one line says what to do."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results import store
from tests.studies import kill

ROOT = Path(__file__).parent.parent.parent


def namespace(*flags):
    """A command that runs another one in namespaces of its own, or None where this machine admits none."""
    command = ["unshare", *flags, *([] if os.geteuid() == 0 else ["--map-root-user"])]
    there = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if there else None


def test_a_storm_of_kills_loses_nothing(tmp_path):
    """The parent, a worker and both; 200 of them are in docs/reliability.md."""
    first_record_seconds = kill.undisturbed(tmp_path / "whole", 20)
    wait_seconds = kill.WAIT_PER_FIRST_RECORD * first_record_seconds
    seen = kill.storm(tmp_path / "killed", 3, 20, wait_seconds, random.Random(3))
    assert seen.losses == []
    assert seen.kills.total() == 3
    assert len(store.load(tmp_path / "killed").trainings) == 40
    assert kill.table(tmp_path / "killed") == kill.table(tmp_path / "whole")


@pytest.mark.parametrize("seconds_after_its_start", [0.0, 0.5])
def test_a_run_that_is_killed_while_its_workers_parent_imports_leaves_nothing(
    tmp_path, monkeypatch, seconds_after_its_start
):
    """It imports for seconds, in which nobody needs it any more: found by 200 kills on a busy machine. At first it is
    Python alone, and has not looked yet whose it is."""
    monkeypatch.setattr(kill, "ORPHAN_SECONDS", 2.0)
    run = kill.start(tmp_path / "run", 1)
    while len(kill.of_session(run.pid)) < 3:  # the command, the tracker of its resources, and what imports
        time.sleep(0.02)
    time.sleep(seconds_after_its_start)
    run.kill()
    run.wait()
    seen = kill.Seen()
    kill.check_orphans(run.pid, seen)
    assert seen.losses == []


@pytest.fixture
def file_systems(tmp_path):
    """Runs a shell script in which file systems can be mounted, and returns what came of it."""
    alone = namespace("--mount")
    mount = [*(alone or ()), "mount", "-t", "tmpfs", "none", tmp_path]
    if alone is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    return lambda script: subprocess.run([*alone, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)


def test_a_full_disk_keeps_what_is_done_and_the_run_goes_on_once_there_is_room(tmp_path, file_systems):
    """A real file system of its own that is too small, and then grows: checkpoints do not fit, nor does the page."""
    run = " ".join(kill.command(tmp_path / "run", 2))
    done = file_systems(f"""
mount -t tmpfs -o size=150k none {tmp_path}
{run} >&2
echo small $?
find {tmp_path} -name '.writing-*' | wc -l
mount -o remount,size=50m {tmp_path}
{run} > /dev/null
echo large $?
grep -l '"metrics"' {tmp_path}/run/records/*.json | wc -l
""")
    small, half_written, large, trained = done.stdout.splitlines()
    assert small == "small 2", done.stderr
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path}/run/report.html: No space left on device"
    assert (half_written, large, trained) == ("0", "large 0", "4"), done.stderr


def test_a_disk_that_is_full_when_a_record_is_written_stops_the_run_with_the_command_that_goes_on(
    tmp_path, file_systems
):
    """Something else fills the file system while the first trial runs."""
    script = tmp_path / "run.py"
    script.write_text(f"""
import sys
from benchmarks import run
before = run.store.write
def write(folder, record):
    with open("{tmp_path}/disk/other", "wb", buffering=0) as other:
        try:
            while True:
                other.write(bytes(4096))
        except OSError:
            pass
    return before(folder, record)
run.store.write = write
sys.argv = {kill.command(tmp_path / "disk" / "run", 1)[2:]!r}
if __name__ == "__main__":
    sys.exit(run.main())
""")
    (tmp_path / "disk").mkdir()
    done = file_systems(f"""
mount -t tmpfs -o size=10m none {tmp_path}/disk
PYTHONPATH={ROOT} {sys.executable} {script}
echo $?
ls -A {tmp_path}/disk/run/records | wc -l
""")
    assert done.stdout.splitlines()[-2:] == ["2", "0"], done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"error: {tmp_path}/disk/run/records/train-")
    assert "No space left on device; finished trials are kept. Once that is mended, go on with: python -m bench" in said


def test_nothing_but_the_network_needs_the_network(tmp_path):
    """A run and its page in a network namespace without one."""
    alone = namespace("--net")
    if alone is None:
        pytest.skip("this machine lets nobody leave the network")
    done = subprocess.run([*alone, *kill.command(tmp_path, 1)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").exists()


def refused(tmp_path, folder):
    done = subprocess.run(kill.command(folder, 1), cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    return done.stderr


def test_a_folder_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(tmp_path, tmp_path / "file" / "run")


def test_a_folder_without_permission_is_one_line(tmp_path):
    if os.geteuid() == 0:
        alone = namespace("--mount")
        if alone is None:
            pytest.skip("nothing is forbidden to root here")
        script = f"mount --bind -o ro {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && exec " + " ".join(
            kill.command(tmp_path / "run", 1)
        )
        done = subprocess.run([*alone, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "Read-only file system" in done.stderr
    else:
        tmp_path.chmod(0o500)
        assert "Permission denied" in refused(tmp_path, tmp_path / "run")


def test_a_folder_that_vanishes_is_told_and_does_not_come_back_half(tmp_path):
    folder = tmp_path / "run"
    code = f"""
import shutil, sys
from benchmarks import run
before = run.store.write
def write(folder, record):
    shutil.rmtree(folder)
    return before(folder, record)
run.store.write = write
sys.argv = {kill.command(folder, 1)[2:]!r}
if __name__ == "__main__":
    sys.exit(run.main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"the run's folder {folder} is gone" in done.stderr
    assert not folder.exists()
