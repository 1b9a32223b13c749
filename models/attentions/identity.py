"""No attention: each patch stays alone. A control."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention
from models.cost import Part


class Identity(Attention):
    """y = x: the patches of the model never mix before they are averaged."""

    kind: Literal["identity"] = "identity"

    grows = None
    role = "control"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield Part("identity", working=patches * dim)
