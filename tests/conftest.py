"""Environment of the tests: the workers' own variables, so that a test computes what a trial computes."""

import os

from benchmarks.environment import available_threads, isolate, worker_variables

isolate(worker_variables(os.environ.get("KERAS_BACKEND", "tensorflow"), available_threads()))
