"""Imports the slow libraries once, in the process that the workers are forked from: a trial then starts in 50 ms.

It computes nothing: until a backend starts its first thread, a fork is a clean new process. What TensorFlow prints at
import, past any setting, is dropped.
"""

import atexit
import gc
import importlib
import os
import shutil
import signal
import threading
from pathlib import Path

_parent = int(os.environ.pop("EANET_ABLATION_RUN_PID", os.getppid()))
"""The run, by its own word (`executors.start_context`): killed before this line, it would be the parent no more."""
_temporary = os.environ.pop("EANET_ABLATION_TEMPORARY", "")
"""The run's folder of temporary files, which a killed run leaves: this process ends after it and all its workers."""
_pid = os.getpid()
_imported = threading.Event()


@atexit.register
def _tidy() -> None:
    if _temporary and os.getpid() == _pid and os.getppid() != _parent:
        shutil.rmtree(_temporary, ignore_errors=True)


def _end_with_parent() -> None:
    """Ends this process with its run, which would import for seconds what nobody needs."""
    while not _imported.wait(0.1):
        if os.getppid() != _parent:
            _tidy()
            os._exit(1)


_watch = threading.Thread(target=_end_with_parent)
_watch.start()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C while this imports is the parent's to answer
_stderr = os.dup(2)
_null = os.open(os.devnull, os.O_WRONLY)
os.dup2(_null, 2)
try:
    for _name in ("benchmarks.training", "benchmarks.steptime", "sklearn.datasets", "sklearn.model_selection"):
        importlib.import_module(_name)
except Exception as error:  # which the run reports in one line (`executors.IMPORT_FAILED`)
    if not _temporary:
        raise
    Path(_temporary, "import-failed").write_text(" ".join(f"{type(error).__name__}: {error}".split()))
    os._exit(1)
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_null)
    _imported.set()
    _watch.join()  # a fork of one thread alone is clean
gc.freeze()  # nothing imported is garbage: a worker's collections need not walk it
