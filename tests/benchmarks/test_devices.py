"""One training on several devices is the training on one: real JAX on two devices of the host."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.run import main
from tests.trials import SMALL

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
ROOT = Path(__file__).parent.parent.parent


def command(folder, *arguments, devices=2):
    """The command on JAX, on a processor that shows itself as several devices."""
    typed = [sys.executable, "-m", "benchmarks.run", "--suite", "accuracy", "--seeds", "1", "--epochs", "2"]
    settings = [argument for pair in SMALL.items() for argument in ("--set", "=".join(pair))]
    where = ["--backend", "jax", "--out", str(folder)]
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.run(
        [*typed, *settings, *where, *arguments], cwd=ROOT, capture_output=True, text=True, env=os.environ | flags
    )


def test_two_devices_give_the_result_of_one(tmp_path):
    found = {}
    for devices in (1, 2):
        done = command(tmp_path / str(devices), "--devices", str(devices))
        assert done.returncode == 0, done.stderr
        records = [json.loads(path.read_text()) for path in (tmp_path / str(devices) / "records").glob("*.json")]
        found[devices] = {record["trial"]["variant"]: record for record in records}
    for variant in ("eanet", "vit"):
        one, two = found[1][variant], found[2][variant]
        assert one["trial_id"] != two["trial_id"]
        assert one["batch_order_sha256"] == two["batch_order_sha256"]
        for first, second in zip(one["epochs"], two["epochs"], strict=True):
            assert second["loss"] == pytest.approx(first["loss"], rel=1e-3)
            assert second["val_loss"] == pytest.approx(first["val_loss"], rel=1e-3)
        assert two["metrics"]["test_loss"] == pytest.approx(one["metrics"]["test_loss"], rel=1e-3)
        assert two["metrics"]["top1"] == pytest.approx(one["metrics"]["top1"], abs=3 / 360)


def test_every_device_has_the_weights_and_its_share_of_a_batch():
    code = """
import numpy as np
from benchmarks.batches import split_batches
split_batches(2)
import keras
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(5)])
layout = keras.distribution.distribution().get_data_layout((4, 3))
batch = keras.distribution.distribute_tensor(np.ones((4, 3)), layout)
print([len(weight.value.sharding.device_set) for weight in model.weights])
print(sorted(shard.data.shape for shard in batch.addressable_shards))
"""
    variables = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ | variables
    )
    assert done.stdout.splitlines() == ["[2, 2]", "[(2, 3), (2, 3)]"], done.stderr


def test_too_few_devices_are_one_line_before_any_trial_starts(tmp_path):
    done = command(tmp_path / "run", "--devices", "2", "--variant", "eanet", devices=1)
    assert (done.returncode, done.stderr) == (2, "error: --devices 2: JAX has 1 on this machine\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--devices", "2"], "--devices splits batches on JAX alone: give --backend jax"),
        (
            ["--devices", "4", "--backend", "jax"],
            "--devices 4 cannot share a batch of 62 (an epoch has 1,150 images",
        ),
        (
            ["--devices", "2", "--backend", "jax", "--executor", "ray", "--trial-gpus", "1"],
            "--devices 2 of a cluster need as many GPUs: give --trial-gpus 2",
        ),
    ],
)
def test_devices_that_cannot_be_used_are_one_line(tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.setattr(sys, "argv", ["run", "--suite", "accuracy", *arguments, "--out", str(tmp_path / "run")])
    assert main() == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
