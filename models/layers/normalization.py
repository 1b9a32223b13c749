"""External attention turns logits into weights, on `(batch, heads, units, patches)`, with the dropout behind it.

The patches are the last axis, where a softmax takes one pass. `bias` `(heads or 1, units, 1)` belongs to the logits.
`kept` marks the weights that a dropout keeps, None keeps all; the caller divides by the fraction that is kept.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from models.layers.attention import plus_column

TINY = 1e-37
"""Smallest value that is safe to divide by in float32."""


def over_patches(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the patches."""
    return dropped(ops.softmax(without_effect(logits, bias), axis=-1), kept)


def over_units(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the units."""
    logits = plus_column(logits, bias)
    weights = ops.exp(logits - ops.stop_gradient(ops.max(logits, axis=-2, keepdims=True)))
    return dropped(weights / ops.sum(weights, axis=-2, keepdims=True), kept)


def double(logits: Any, bias: Any, kept: Any = None) -> Any:
    """softmax over the patches, then each patch's weights divided by their sum over the units.

    That is softmax_units(logits - logsumexp_patches(logits)), and needs no 1e-9. It is computed in float32. A patch
    whose weights are all below 1e-37, 85 nats under the largest of its column, gets zeros.

    Let u be the softmax, a = u / sum_units(u), and t = a g for a gradient g by the kept weights. The gradient by the
    logits is t - u (s + sum_patches(t - u s)) with s = sum_units(t) / sum_units(u). This takes one pass less than both
    steps one by one, and never stores the quotient before the dropout nor the gradient behind it.
    Source: Guo et al. 2021, arXiv:2105.02358, algorithm 2.
    """

    @ops.custom_gradient
    def normalize(logits: Any) -> Any:
        columns = ops.softmax(logits, axis=-1)
        inverse = 1 / ops.maximum(ops.sum(columns, axis=-2, keepdims=True), TINY)
        weights = dropped(columns * inverse, kept)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            of_weights = weights * (args[0] if upstream is None else upstream)
            rows = inverse * ops.sum(of_weights, axis=-2, keepdims=True)
            of_weights = of_weights - columns * rows
            return of_weights - columns * ops.sum(of_weights, axis=-1, keepdims=True)

        return weights, gradient

    weights: Any = normalize(ops.cast(without_effect(logits, bias), "float32"))
    return ops.cast(weights, logits.dtype)


@ops.custom_gradient
def without_effect(x: Any, bias: Any) -> Any:
    """Returns x for x + bias where the softmax that follows cancels the bias, which saves a pass.

    The gradient by x is that of the sum. The gradient by the bias is exactly 0; adding it would leave rounding errors.
    """

    def gradient(*args: Any, upstream: Any = None) -> Any:
        return args[0] if upstream is None else upstream, ops.zeros_like(bias)

    return x, gradient


def dropped(weights: Any, kept: Any) -> Any:
    """Keeps the weights that are `kept` and sets the others to 0."""
    return weights if kept is None else weights * ops.cast(kept, weights.dtype)


NORMALIZATIONS: dict[str, Callable[..., Any]] = {"patches": over_patches, "units": over_units, "double": double}
"""Name -> normalization of logits and their bias, with `kept`."""
