"""Performer: linear attention with positive random features."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.attentions.heads import into_heads, out_of_heads
from models.cost import Part
from models.settings import Count


class Performer(Attention):
    """Multi-head attention by `features` random ReLU features of queries and keys; `key_dim` is the width of ONE head.

    Source: Choromanski et al. 2020, arXiv:2009.14794, section 2.3 (generalized attention with f = ReLU).
    """

    kind: Literal["performer"] = "performer"
    heads: Count = 4
    key_dim: Count = 16
    features: Count = 64

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        sizes = (self.heads, self.key_dim, dim, patches)
        values, features = patches * self.heads * self.key_dim, patches * self.heads * self.features
        products = values * self.features
        yield into_heads(*sizes)
        yield Part(
            "features", multiply_adds=2 * products, kept=2 * values + 4 * features, working=3 * values + 2 * features
        )
        yield Part("state", multiply_adds=products, kept=values, working=values + 2 * features)
        yield Part("read", multiply_adds=products, kept=2 * values + features, working=2 * values + 2 * features)
        yield out_of_heads(*sizes)
