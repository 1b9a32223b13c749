"""Environment of the tests: the workers' own variables, so that a test computes what a trial computes."""

import os

from benchmarks.environment import isolate, worker_variables
from benchmarks.processor import available_threads

isolate(worker_variables(os.environ.get("KERAS_BACKEND", "tensorflow"), available_threads()))
