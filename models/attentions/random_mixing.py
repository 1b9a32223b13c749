"""A random matrix, drawn once per block and never trained, mixes the patches. A control."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention
from models.cost import Part


class RandomMixing(Attention):
    """y = R x with a fixed random R: mixing that is not learned."""

    kind: Literal["random_mixing"] = "random_mixing"

    grows = None
    role = "control"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        x = patches * dim
        yield Part("random_mixing", multiply_adds=patches * x, working=2 * x)
