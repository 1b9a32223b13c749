"""Linear attention: a feature map of queries and keys replaces the softmax, so that keys and values are summed once."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.attentions.heads import into_heads, out_of_heads
from models.cost import Part
from models.settings import Count


class LinearAttention(Attention):
    """Multi-head linear attention with the feature map elu(x) + 1; `key_dim` is the width of ONE head.

    Source: Katharopoulos et al. 2020, arXiv:2006.16236, equations 5 to 7.
    """

    kind: Literal["linear"] = "linear"
    heads: Count = 4
    key_dim: Count = 16

    grows = Grows(time="linear", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        sizes = (self.heads, self.key_dim, dim, patches)
        values = patches * self.heads * self.key_dim
        yield into_heads(*sizes)
        yield Part("state", multiply_adds=values * self.key_dim, kept=4 * values, working=4 * values)
        yield Part("read", multiply_adds=values * self.key_dim, kept=2 * values, working=4 * values)
        yield out_of_heads(*sizes)
