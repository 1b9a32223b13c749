"""What an attention or a model costs, part by part and in closed form: parameters, multiply-adds, activations.

Multiply-adds count the matrix products alone, in the order the layers compute them; softmax, normalisation, dropout,
bias and residual additions are left out, as is usual. All are per image, but for the products of weights alone, which
a step does once, however many images it has.

Activations count the values that are in memory at once when every operation has an array of its own, as TensorFlow's
kernels on a CPU do; a compiler that joins operations needs less. They are right to within a factor of 2
(docs/measurements.md), which is what tells a size that fits from one that does not.
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
    `weight_multiply_adds` are those of products of weights alone, once a step. `one_for_all` says that its parameters
    are the same ones in each block of a model.
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
        """What the part of one block comes to in all of them."""
        return replace(
            self,
            parameters=self.parameters * (1 if self.one_for_all else blocks),
            multiply_adds=self.multiply_adds * blocks,
            kept=self.kept * blocks,
            weight_multiply_adds=self.weight_multiply_adds * blocks,
        )


@dataclass(frozen=True)
class Cost:
    """What an attention or a model costs."""

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
        """Multiply-adds of the products of weights alone, forward, once a step."""
        return sum(part.weight_multiply_adds for part in self.parts)

    def activation_bytes(self, batch: int, phase: Phase, value_bytes: int = 4) -> int:
        """Most bytes of activations at once: all that is kept in training, and the part that works with the most."""
        kept = sum(part.kept for part in self.parts) if phase == "train" else 0
        return batch * value_bytes * (kept + max(part.working for part in self.parts))

    def needed_bytes(self, batch: int, phase: Phase, value_bytes: int = 4) -> int:
        """What has to be free for a step: activations, and the weights with all that it keeps for them, in float32."""
        return self.activation_bytes(batch, phase, value_bytes) + 4 * COPIES_OF_WEIGHTS[phase] * self.parameters


def dense(inputs: int, outputs: int) -> int:
    """Parameters of a dense layer, its biases included."""
    return inputs * outputs + outputs
