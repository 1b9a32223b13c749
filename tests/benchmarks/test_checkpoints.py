"""Checkpoints: all of a training that Keras can save, in one file that is whole or not there."""

import os

import keras
import numpy as np
import pytest

from benchmarks import checkpoints
from benchmarks.checkpoints import Passed
from results.records import Epoch
from tests import samples

SHARES = {"top1": 0.5, "top5": 0.75, "val_loss": 2.5, "val_top1": 0.25, "val_top5": 0.625}
NOTHING = Passed(environment=samples.environment(started="now"), dataset_sha256="ab")
PASSED = Passed(
    environment=samples.environment(started="before"),
    dataset_sha256="ab",
    epochs=(Epoch(epoch=1, train_seconds=3.0, loss=1 / 3, **SHARES),),
    step_seconds=(0.1,),
)


def model_of(width=5):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(width), keras.layers.BatchNormalization()])
    model.compile("adamw", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def saved(tmp_path):
    """A model that has taken two steps, and its checkpoint."""
    model = model_of()
    model.fit(np.eye(3), np.ones((3, 5)), epochs=2, verbose=0)
    path = tmp_path / "checkpoints" / "trial.npz"
    checkpoints.save(path, model, PASSED)
    return model, path


def arrays(model):
    return [keras.ops.convert_to_numpy(variable) for variable in (*model.weights, *model.optimizer.variables)]


def test_weights_optimizer_and_history_come_back_exactly(saved):
    model, path = saved
    other = model_of()
    passed = checkpoints.restore(path, other, NOTHING)
    assert passed.epochs == PASSED.epochs
    assert passed.step_seconds == PASSED.step_seconds
    assert (passed.interrupted_after, passed.interrupted_in) == ((1,), (PASSED.environment,))
    assert passed.environment == NOTHING.environment
    assert int(other.optimizer.iterations) == 2
    assert len(arrays(other)) > 12, "two moments of each weight, and the counters"
    for before, after in zip(arrays(model), arrays(other), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_pipe_a_bomb_and_values_of_another_kind_are_set_aside(saved):
    _, path = saved
    whole = dict(np.load(path))
    path.unlink()
    os.mkfifo(path)
    assert checkpoints.restore(path, model_of(), NOTHING) == NOTHING
    np.savez_compressed(path, **whole, bomb=np.zeros(2**22, np.uint8))
    assert checkpoints.restore(path, model_of(), NOTHING) == NOTHING
    np.savez(path, **whole | {"variable_0": np.full(whole["variable_0"].shape, "x")})
    assert checkpoints.restore(path, model_of(), NOTHING) == NOTHING
    np.savez(path, **whole)
    assert checkpoints.restore(path, model_of(), NOTHING).epochs == PASSED.epochs


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_beside_it(saved):
    model, path = saved
    checkpoints.save(path, model, PASSED.model_copy(update={"dataset_sha256": "cd"}))
    assert [file.name for file in path.parent.iterdir()] == ["trial.npz"]
    others = NOTHING.model_copy(update={"dataset_sha256": "cd"})
    assert checkpoints.restore(path, model_of(), others).epochs == PASSED.epochs


def test_without_a_checkpoint_no_epoch_has_passed(tmp_path):
    assert checkpoints.restore(tmp_path / "none.npz", model_of(), NOTHING) == NOTHING


def flipped(content, place, bit):
    changed = bytearray(content)
    changed[place] ^= bit
    return bytes(changed)


DAMAGES = {
    "cut": lambda content: content[:-100],
    "empty": lambda content: b"",
    "flipped": lambda content: flipped(content, len(content) // 2, 1),
    "encrypted": lambda content: flipped(content, content.rindex(b"PK\x01\x02") + 8, 1),
}


@pytest.mark.parametrize("damage", [*DAMAGES, "pickle"])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_starts_over(saved, damage, capsys):
    _, path = saved
    if damage == "pickle":
        np.savez(path, passed=np.array([{"a": 1}], dtype=object))
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    other = model_of()
    before = arrays(other)
    assert checkpoints.restore(path, other, NOTHING) == NOTHING
    for ours, theirs in zip(before, arrays(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [file.name for file in path.parent.iterdir()] == ["trial.npz.broken"]
    assert "is set aside, and the training starts over" in capsys.readouterr().out


@pytest.mark.parametrize(("width", "sha256", "reason"), [(7, "ab", "another model"), (5, "cd", "other images")])
def test_a_checkpoint_of_something_else_is_set_aside(saved, width, sha256, reason, capsys):
    _, path = saved
    nothing = NOTHING.model_copy(update={"dataset_sha256": sha256})
    assert checkpoints.restore(path, model_of(width), nothing) == nothing
    assert not path.exists()
    assert f"it is of {reason}" in capsys.readouterr().out
