"""Counts what an attention or a model costs, in closed form: parameters, multiply-adds, activations.

Multiply-adds count the matrix products alone, in the order the layers compute them, as is usual. They are per image,
except products of weights alone, which a step computes once for all its images.

Activations count the values in memory at once when every operation writes its own array, as TensorFlow's CPU kernels
do; a compiler that fuses operations needs less. They are correct to within a factor of 2 (docs/measurements.md), which
is enough to predict whether a size fits.
"""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

Phase = Literal["train", "infer"]
COPIES_OF_WEIGHTS = {"train": 4, "infer": 1}
"""A training step also holds a gradient and AdamW's two moments for each weight."""


@dataclass(frozen=True)
class Part:
    """One part of an attention or a model, for one image.

    `parameters` are trainable, `multiply_adds` those of the forward pass. `kept` activations wait for the backward
    pass; `working` is the most that the part holds at once while it is computed, its inputs included.
    `weight_multiply_adds` are those of products of weights alone, once per step. Parameters that are `one_for_all` are
    shared by all blocks of a model.
    """

    name: str
    _: KW_ONLY
    parameters: int = 0
    multiply_adds: int = 0
    kept: int = 0
    working: int = 0
    weight_multiply_adds: int = 0
    one_for_all: bool = False

    def in_blocks(self, blocks: int) -> "Part":
        """Returns the part of one block, summed over all."""
        return replace(
            self,
            parameters=self.parameters * (1 if self.one_for_all else blocks),
            multiply_adds=self.multiply_adds * blocks,
            kept=self.kept * blocks,
            weight_multiply_adds=self.weight_multiply_adds * blocks,
        )


@dataclass(frozen=True)
class Cost:
    """Cost of an attention or a model."""

    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(part.parameters for part in self.parts)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image, forward."""
        return sum(part.multiply_adds for part in self.parts)

    @property
    def weight_multiply_adds(self) -> int:
        """Multiply-adds of the products of weights alone, forward, once per step."""
        return sum(part.weight_multiply_adds for part in self.parts)

    def activation_bytes(self, batch: int, phase: Phase, value_bytes: int = 4) -> int:
        """Returns the peak bytes of activations: all that is kept in training, and the largest working set."""
        kept = sum(part.kept for part in self.parts) if phase == "train" else 0
        return batch * value_bytes * (kept + max((part.working for part in self.parts), default=0))

    def needed_bytes(self, batch: int, phase: Phase, value_bytes: int = 4) -> int:
        """Returns the memory that a step needs: activations, and the weights in float32, in `COPIES_OF_WEIGHTS`."""
        return self.activation_bytes(batch, phase, value_bytes) + 4 * COPIES_OF_WEIGHTS[phase] * self.parameters


def dense(inputs: int, outputs: int) -> int:
    """Returns the parameters of a dense layer, its biases included."""
    return inputs * outputs + outputs
