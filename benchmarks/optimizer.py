"""The optimizer of every training: AdamW, computed on all weights at once."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Keras's defaults."""


class AdamW(keras.optimizers.Optimizer):
    """The function of `keras.optimizers.AdamW`, with the moments of all weights in one vector each.

    Keras's own updates each weight by some thirty operations. Tracing them is a third of what the first step of a small
    model takes (docs/speed.md). `learning_rate` is a number or a schedule.
    Source: Loshchilov and Hutter 2017, arXiv:1711.05101.
    """

    def __init__(self, learning_rate: Any, weight_decay: float) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, name="adamw")

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.ends = list(itertools.accumulate(math.prod(variable.shape) for variable in variables))
        self.momentum = self.add_variable((self.ends[-1],), name="momentum")
        self.velocity = self.add_variable((self.ends[-1],), name="velocity")

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        if not self.built:
            self.build(list(trainable_variables or ()))
        rate, step = ops.cast(self.learning_rate, "float32"), ops.cast(self.iterations + 1, "float32")
        gradient = ops.concatenate([ops.reshape(ops.cast(of_one, "float32"), (-1,)) for of_one in grads])
        self.momentum.assign_add((gradient - self.momentum) * (1 - BETA_1))
        self.velocity.assign_add((ops.square(gradient) - self.velocity) * (1 - BETA_2))
        corrected = rate * ops.sqrt(1 - ops.power(BETA_2, step)) / (1 - ops.power(BETA_1, step))
        update = self.momentum * corrected / (ops.sqrt(self.velocity) + EPSILON)
        decay = rate * self.weight_decay
        # Keras's own list of them: it would take one of ours for variables of the optimizer.
        for variable, part in zip(self._trainable_variables, ops.split(update, self.ends[:-1]), strict=True):
            variable.assign_sub(variable * decay + ops.reshape(part, variable.shape))
        self.iterations.assign_add(1)
