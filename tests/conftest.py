"""Environment of the tests: the workers' own variables, so that a test computes what a trial computes."""

import os

from benchmarks.environment import available_threads, worker_variables
from benchmarks.isolation import isolate

isolate(worker_variables(os.environ.get("KERAS_BACKEND", "tensorflow"), available_threads()))
