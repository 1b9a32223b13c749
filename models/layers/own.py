"""Runs a user's own attention file, with the user's rights: imported by workers alone."""

import functools
import linecache
import sys
import traceback
from types import ModuleType
from typing import Any

import keras

from models.attentions import own
from models.attentions.attention import Attention
from models.layers.attention import AttentionLayer


@keras.saving.register_keras_serializable("eanet-ablation")
class OwnAttention(AttentionLayer):
    """What the file's layer computes on `(batch, patches, dim)`.

    Raises `ValueError` where it gives another shape, and whatever the file raises.
    """

    settings: own.OwnAttention

    def __init__(self, settings: own.OwnAttention, **kwargs: Any) -> None:
        super().__init__(settings, **kwargs)
        _, layer = defined(settings.file, settings.source)
        self.layer = layer(configured(settings), dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        given = self.layer(keras.KerasTensor(input_shape, self.compute_dtype))  # builds it, also without a `build`
        is_array = isinstance(given, keras.KerasTensor)
        got = (given.shape, given.dtype) if is_array else type(given).__name__
        if got != (asked := (tuple(input_shape), self.compute_dtype)):
            raise ValueError(f"its layer gives {got} for {asked}: expected the same shape and dtype")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.layer(x, training=training)


@functools.cache
def defined(file: str, source: bytes) -> tuple[type[Attention], type[AttentionLayer]]:
    """Runs the source of a file and returns the attention and the layer that it defines.

    Raises `ValueError` where it does not define one of each, and whatever it raises itself.
    """
    module = ModuleType(f"own attention {file}")
    sys.modules[module.__name__] = module
    lines = source.decode("utf-8-sig", "replace").splitlines(keepends=True)
    linecache.cache[file] = len(source), None, lines, file  # for its lines in a traceback
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    exec(compile(source, file, "exec"), vars(module))
    keras.config.set_floatx(floatx)  # the trial's, for what else is built
    keras.config.set_dtype_policy(policy)
    bases: tuple[type[Attention], type[AttentionLayer]] = (Attention, AttentionLayer)
    attention, layer = (_only(module, base) for base in bases)
    return attention, layer


def _only(module: ModuleType, base: type) -> Any:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise ValueError(f"defines {names} of {base.__name__}: expected one class of {base.__module__}.{base.__name__}")
    return found[0]


def configured(settings: own.OwnAttention) -> Attention:
    """Returns the file's own attention with its settings. Raises `pydantic.ValidationError` where it refuses one."""
    attention, _ = defined(settings.file, settings.source)
    return attention.model_validate({"kind": own_kind(attention), **dict(settings.settings)})


def raised(error: BaseException, file: str) -> tuple[BaseException, int | None]:
    """Returns the first of a chain of errors that a line of the file raised, and that line; else the error itself.

    Keras raises another error for each layer that one passes through.
    """
    chain: dict[int, BaseException] = {}
    last: BaseException | None = error
    while last is not None and id(last) not in chain:  # it may be its own cause
        chain[id(last)] = last
        last = last.__cause__ or last.__context__
    for one in reversed(chain.values()):
        if lines := [frame.lineno for frame in traceback.extract_tb(one.__traceback__) if frame.filename == file]:
            return one, lines[-1]
    return error, error.lineno if isinstance(error, SyntaxError) else None


def own_kind(attention: type[Attention]) -> str:
    """Returns the kind that the file's attention names, or "own"."""
    named = attention.model_fields["kind"].default
    return named if isinstance(named, str) else own.OwnAttention.model_fields["kind"].default
