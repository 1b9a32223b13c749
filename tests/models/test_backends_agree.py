"""Every attention computes the same on TensorFlow, JAX and PyTorch: outputs and gradients, from the same weights."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models.test_variants import BATCH, CASES, DIM, PATCHES, random_layer, without_dropout

BACKENDS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


def write_outputs_and_gradients(path):
    """Of each attention on this process's backend: its output, then the gradients by its input and its weights."""
    import keras

    from benchmarks.steptime import layer_step

    found = {}
    for name, case in CASES.items():
        layer, _ = random_layer(without_dropout(case.attention), seed=5)
        x = np.random.default_rng(7).standard_normal((BATCH, PATCHES, DIM)).astype("float32")
        output, gradients = (layer_step(layer, x, phase)[0]() for phase in ("infer", "train"))
        if keras.backend.backend() == "jax":  # whose step gives the weights' first
            gradients = (gradients[1], *gradients[0])
        for place, value in enumerate((output, *gradients)):
            found[f"{name} {place}"] = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
    np.savez(path, **found)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Backend -> what it computes, each in its own process."""
    root = Path(__file__).parent.parent.parent
    code = "import sys; from tests.models.test_backends_agree import *; write_outputs_and_gradients(sys.argv[1])"
    values = {}
    for backend in ("tensorflow", *BACKENDS):
        path = tmp_path_factory.mktemp("backends") / f"{backend}.npz"
        environment = os.environ | {"KERAS_BACKEND": backend}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=root, env=environment)
        values[backend] = dict(np.load(path))
    return values


@pytest.mark.skipif(not BACKENDS, reason="neither JAX nor PyTorch is installed")
@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_and_gradients_agree_within_1e_5(found, backend):
    """Each relative to the attention's largest value: a gradient that cancels to 0 has rounding errors alone."""
    ours, theirs = found["tensorflow"], found[backend]
    assert ours.keys() == theirs.keys()
    assert len(ours) > 5 * len(CASES)
    for name in CASES:
        keys = [key for key in ours if key.rpartition(" ")[0] == name]
        for part in (keys[:1], keys[1:]):
            largest = max(np.abs(ours[key]).max() for key in part)
            for key in part:
                assert np.abs(ours[key] - theirs[key]).max() < 1e-5 * largest, key
