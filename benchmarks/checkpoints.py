"""Keeps the state of a training on disk: one file per trial, replaced after each epoch."""

import io
from pathlib import Path

import keras
import numpy as np

from results import files
from results.fields import Frozen, Seconds
from results.records import Environment, Epoch


class Passed(Frozen):
    """The epochs that a training has completed, in which environment and on which data.

    `interrupted_after` and `interrupted_in` are of the processes before this one, as in a `TrainRecord`.
    `step_seconds` holds each epoch's mean step, without the first one after a start, which compiles.
    """

    environment: Environment
    dataset_sha256: str
    epochs: tuple[Epoch, ...] = ()
    step_seconds: tuple[Seconds, ...] = ()
    interrupted_after: tuple[int, ...] = ()
    interrupted_in: tuple[Environment, ...] = ()


def save(path: Path, model: keras.Model, passed: Passed) -> None:
    """Puts weights, optimizer and history into one file, which replaces the one before as a whole or not at all.

    The state of the random layers is not in it: `training.reseed` derives that from (seed, epoch).
    """
    values = map(keras.ops.convert_to_numpy, (variable.value for variable in _variables(model)))
    arrays = {f"variable_{index}": value for index, value in enumerate(values)}
    arrays["passed"] = np.frombuffer(passed.model_dump_json().encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    path.parent.mkdir(exist_ok=True)  # without parents: a run's folder that has vanished must not come back half
    files.replace(path, content.getvalue())


def restore(path: Path, model: keras.Model, nothing: Passed) -> Passed:
    """Restores `model` from the file and returns the completed epochs; `nothing` without such a file.

    A file that is damaged, of another model or of other images is renamed to `NAME.broken`: the training starts over.
    """
    try:
        with files.open_plain(path) as file, np.load(file, allow_pickle=False) as arrays:
            unpacked_bytes = sum(member.file_size for member in arrays.zip.infolist())
            if unpacked_bytes > 2 * path.stat().st_size:  # a training's own is not packed
                raise ValueError(f"it unpacks to {unpacked_bytes:,} bytes")
            passed = Passed.model_validate_json(arrays["passed"].tobytes())
            values = [arrays[f"variable_{index}"] for index in range(len(arrays.files) - 1)]
        if passed.dataset_sha256 != nothing.dataset_sha256:
            raise ValueError("it is of other images")
        variables = _variables(model)
        if [(value.shape, value.dtype.name) for value in values] != [(tuple(v.shape), v.dtype) for v in variables]:
            raise ValueError("it is of another model")
    except FileNotFoundError:
        return nothing
    except Exception as error:  # a damaged file can raise anything
        path.replace(path.with_name(f"{path.name}.broken"))
        print(f"{path} is set aside, and the training starts over: {error}")
        return nothing
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return passed.model_copy(
        update={
            "environment": nothing.environment,
            "interrupted_after": (*passed.interrupted_after, len(passed.epochs)),
            "interrupted_in": (*passed.interrupted_in, passed.environment),
        }
    )


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.weights, *model.optimizer.variables]
