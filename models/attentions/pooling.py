"""PoolFormer's pooling: each patch gets the mean of its neighbours, less itself."""

import math
from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.cost import Part


class Pooling(Attention):
    """y = the mean of x over the 3 x 3 patches around, less x, on the grid that is nearest to a square.

    It has no matrix product. Source: Yu et al. 2021, arXiv:2111.11418, equation 4.
    """

    kind: Literal["pooling"] = "pooling"

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield Part("pooling", working=3 * patches * dim)


def rows(patches: int) -> int:
    """Returns the rows of the grid: the largest divisor of `patches` that is no larger than its root."""
    return next(n for n in range(math.isqrt(patches), 0, -1) if patches % n == 0)
