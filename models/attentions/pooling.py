"""PoolFormer's pooling: each patch gets the mean of its neighbours, less itself."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from models.attentions.attention import Attention, Grows
from models.cost import Part
from models.settings import Count


class Pooling(Attention):
    """y = the mean of x over the 3 x 3 patches around, less x, on a grid of `grid_rows` or else nearest to a square.

    It has no matrix product. Source: Yu et al. 2021, arXiv:2111.11418, equation 4.
    """

    kind: Literal["pooling"] = "pooling"
    grid_rows: Annotated[Count | None, Field(exclude_if=lambda rows: rows is None)] = None

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield Part("pooling", working=3 * patches * dim)


def nearest_to_a_square(patches: int) -> int:
    """Returns the rows of a grid: the largest divisor of `patches` that is no larger than its root."""
    return next(n for n in range(math.isqrt(patches), 0, -1) if patches % n == 0)
