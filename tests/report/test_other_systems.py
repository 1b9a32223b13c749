"""The page is built wherever Python is: also without POSIX, and where a terminal has few characters."""

import os
import subprocess
import sys
from pathlib import Path

from results import store
from tests import samples

ROOT = Path(__file__).parent.parent.parent
WITHOUT_POSIX = """
import os, runpy, signal, sys, warnings
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_DIRECTORY", "O_NONBLOCK", "fork", "getuid", "mkfifo", "sched_getaffinity", "sysconf"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "pthread_sigmask"):
    delattr(signal, name)
posix_open = os.open

def windows_open(path, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return posix_open(path, *rest, **more)

os.open = windows_open
warnings.simplefilter("ignore")  # filelock tells that it has no fcntl
sys.argv = ["report", sys.argv[1]]
runpy.run_module("report", run_name="__main__")
"""


def test_the_page_needs_nothing_of_posix(folder):
    """Without Windows: what it lacks is taken away here. What else differs there, this does not show."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "report.html").exists()
    assert (folder / "tables" / "scaling.csv").exists()


def test_what_a_terminal_cannot_show_does_not_end_the_report(tmp_path):
    for variant in ("eanet", "vit"):
        store.write(tmp_path, samples.training(variant, dataset="digits²"))
    variables = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits?" in done.stdout
