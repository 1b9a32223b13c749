"""Every patch gets the mean over the patches: mixing without weights. A control."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention
from models.cost import Part


class Mean(Attention):
    """y_n = the mean of x over the patches, for every patch n."""

    kind: Literal["mean"] = "mean"

    grows = None
    role = "control"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield Part("mean", working=2 * patches * dim)
