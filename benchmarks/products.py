"""Counts the matrix products in TensorFlow's graph of a function, to compare a closed form of multiply-adds with."""

import math
from collections.abc import Callable
from typing import Any

COUNTED = ("MatMul", "BatchMatMulV2", "Einsum")
UNCOUNTED = ("MatMul", "Conv", "While", "If", "PartitionedCall")
"""Parts of the names of operations that are other products, or may hold some."""


class UncountableError(ValueError):
    """A graph has an operation whose products cannot be counted; the message names it."""


def counted_multiply_adds(step: Callable[..., Any], *shapes: tuple[int, ...]) -> int:
    """Returns the multiply-adds of the matrix products of one call on inputs of the shapes, from the operands' shapes.

    Raises `UncountableError`.
    """
    import tensorflow as tf

    graph = tf.function(step).get_concrete_function(*(tf.TensorSpec(shape, "float32") for shape in shapes)).graph
    return sum(map(_multiply_adds_of, graph.get_operations()))


def _multiply_adds_of(operation: Any) -> int:
    if operation.type not in COUNTED:
        if any(name in operation.type for name in UNCOUNTED):
            raise UncountableError(operation.type)
        return 0
    if operation.type == "Einsum":
        given, _ = operation.get_attr("equation").decode().split("->")
        if "." in given:
            raise UncountableError(f"Einsum {given}")
        axes = zip(given.split(","), (operand.shape for operand in operation.inputs), strict=True)
        sizes = {name: size for names, shape in axes for name, size in zip(names, shape, strict=True)}
        return math.prod(sizes.values())
    swapped = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return int(operation.outputs[0].shape.num_elements() * operation.inputs[0].shape[-2 if swapped else -1])
