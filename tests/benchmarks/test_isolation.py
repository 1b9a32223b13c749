"""Nothing outside a trial changes its result: neither a user's keras.json nor variables that libraries read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.environment import isolated, worker_variables
from results import store
from tests.trials import SMALL

ROOT = Path(__file__).parent.parent.parent
HOSTILE = {"backend": "jax", "epsilon": 0.1, "floatx": "float16", "nnx_enabled": True}
HOSTILE |= {"image_data_format": "channels_first"}
VARIABLES = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
VARIABLES |= {"TF_FUNCTION_JIT_COMPILE_DEFAULT": "1"}
MEASURED = {"train_seconds", "train_step_seconds", "checksum", "environment"}
"""What differs between two runs of the same: times, and where and when; memory besides."""


@pytest.fixture
def hostile(tmp_path):
    """An environment in which Keras would make and train other models."""
    (tmp_path / "keras.json").write_text(json.dumps(HOSTILE))
    return os.environ | VARIABLES | {"KERAS_HOME": str(tmp_path)}


def without_measurements(value):
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if key not in MEASURED and "memory_bytes" not in key}
        return {key: without_measurements(part) for key, part in kept.items()}
    return [without_measurements(part) for part in value] if isinstance(value, list | tuple) else value


def trained(folder, environment, *arguments):
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "benchmarks.run", "--suite", "accuracy", "--seeds", "1", "--epochs", "2"]
    subprocess.run(
        [*command, *settings, "--out", str(folder), *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=environment | {"TF_DETERMINISTIC_OPS": "1"},
    )
    return [without_measurements(record.model_dump()) for record in store.load(folder).trainings]


def test_a_training_gives_the_same_record_whatever_its_user_has_set(tmp_path, hostile):
    usual, found = trained(tmp_path / "usual", os.environ), trained(tmp_path / "hostile", hostile)
    assert [len(record["epochs"]) for record in usual] == [2, 2]
    assert found == usual


def test_a_keras_json_that_keras_itself_refuses_costs_no_training(tmp_path):
    (tmp_path / "keras.json").write_text('{"epsilon": 1, "floatx": "bfloat16"}')
    assert trained(tmp_path / "run", os.environ | {"KERAS_HOME": str(tmp_path)}, "--variant", "eanet")


def counted(environment):
    """What the gate's process counts of its cases: shapes, parameters and operations."""
    done = subprocess.run(
        [sys.executable, "-P", "benchmarks/gate_process.py"],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=environment | worker_variables("tensorflow", 1) | {"PYTHONPATH": str(ROOT)},
    )
    return json.loads(done.stdout)


def test_a_step_is_the_same_whatever_its_user_has_set(hostile):
    assert counted(hostile) == counted(os.environ)


def test_what_may_change_a_number_is_taken_out_and_what_says_where_is_kept():
    places = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0", "KERAS_HOME": "/k", "TF_DETERMINISTIC_OPS": "1"}
    changing = {"JAX_ENABLE_X64": "1", "KERAS_TORCH_DEVICE": "cpu", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}
    flags = "--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=3"
    found = isolated(places | changing | VARIABLES | {"XLA_FLAGS": flags})
    assert found == places | {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
