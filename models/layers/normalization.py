"""How external attention turns logits into weights, on `(batch, heads, units, patches)`, with the dropout behind it.

The patches are the last axis, where a softmax takes one pass. `bias` `(heads or 1, units, 1)` belongs to the logits.
`kept` says which weights a dropout keeps, None is all; what is kept is not yet divided by the share of it.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

TINY = 1e-37
"""Of the least that float32 holds."""


def over_patches(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the patches."""
    return dropped(ops.softmax(without_effect(logits, bias), axis=-1), kept)


def over_units(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the units."""
    logits = logits + bias
    weights = ops.exp(logits - ops.stop_gradient(ops.max(logits, axis=-2, keepdims=True)))
    return dropped(weights / ops.sum(weights, axis=-2, keepdims=True), kept)


def double(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the patches, then each patch's weights divided by their sum over the units.

    That is softmax_units(logits - logsumexp_patches(logits)): no 1e-9 is needed. It is computed in float32. A patch
    whose every weight is below 1e-37, 85 nats under the largest of its column, gets zeros.

    With u the softmax, a = u / sum_units(u) and t = a g, for a gradient g by the weights that are kept, the gradient by
    the logits is t - u (s + sum_patches(t - u s)), s = sum_units(t) / sum_units(u): one pass less than through both
    steps, and neither the quotient before the dropout nor the gradient behind it is ever held.
    Source: Guo et al. 2021, arXiv:2105.02358, algorithm 2.
    """

    @ops.custom_gradient
    def normalise(logits: Any) -> Any:
        columns = ops.softmax(logits, axis=-1)
        inverse = 1 / ops.maximum(ops.sum(columns, axis=-2, keepdims=True), TINY)
        weights = dropped(columns * inverse, kept)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            of_weights = weights * (args[0] if upstream is None else upstream)
            rows = inverse * ops.sum(of_weights, axis=-2, keepdims=True)
            of_weights = of_weights - columns * rows
            return of_weights - columns * ops.sum(of_weights, axis=-1, keepdims=True)

        return weights, gradient

    weights: Any = normalise(ops.cast(without_effect(logits, bias), "float32"))
    return ops.cast(weights, logits.dtype)


@ops.custom_gradient
def without_effect(x: Any, bias: Any) -> Any:
    """x, for x + bias where the softmax that follows cancels the bias: with the gradients of the sum, and no pass for
    it. Those by the bias are exactly 0, where adding it leaves rounding errors."""

    def gradient(*args: Any, upstream: Any = None) -> Any:
        return args[0] if upstream is None else upstream, ops.zeros_like(bias)

    return x, gradient


def dropped(weights: Any, kept: Any) -> Any:
    """The weights that are kept, and 0 for the others."""
    return weights if kept is None else ops.where(kept, weights, 0.0)


NORMALIZATIONS: dict[str, Callable[..., Any]] = {"patches": over_patches, "units": over_units, "double": double}
"""Name -> normalisation of logits and their bias, with `kept`."""
