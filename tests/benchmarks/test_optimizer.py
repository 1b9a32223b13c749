"""The optimizer computes what Keras's own AdamW does."""

import keras
import numpy as np
import pytest

from benchmarks.optimizer import AdamW


def weights_after(optimizer, steps=7):
    """The weights of a small model after training on the same batches from the same start."""
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(11, activation="tanh"), keras.layers.Dense(5)]
    model = keras.Sequential([keras.layers.Input((13,)), *layers])
    model.compile(optimizer, "mse")
    rng = np.random.default_rng(7)
    for _ in range(steps):
        model.train_on_batch(rng.normal(size=(17, 13)), rng.normal(size=(17, 5)))
    return model.get_weights()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("rate", [1e-2, keras.optimizers.schedules.CosineDecay(0.0, 5, warmup_target=3e-2)])
def test_every_weight_is_that_of_keras_own(rate, weight_decay):
    expected = weights_after(keras.optimizers.AdamW(rate, weight_decay=weight_decay))
    start = weights_after(keras.optimizers.AdamW(0.0, weight_decay=0.0), steps=1)
    for found, theirs, before in zip(weights_after(AdamW(rate, weight_decay)), expected, start, strict=True):
        np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-7)
        assert np.abs(theirs - before).max() > 1e-3


def test_its_variables_are_its_own_and_none_of_the_models():
    """They are what a checkpoint holds of it, and what is reset between trainings that share a process."""
    optimizer = AdamW(1e-2, 0.1)
    weights_after(optimizer)
    names = {variable.path.split("/")[-1] for variable in optimizer.variables}
    assert names == {"iteration", "learning_rate", "momentum", "velocity"}
