"""Self-attention: every patch attends to every patch of its own image."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.cost import Part, Phase, dense
from models.settings import Count, Rate


class SelfAttention(Attention):
    """Multi-head self-attention; `key_dim` is the width of ONE head.

    Sources: Vaswani et al. 2017, arXiv:1706.03762; for O(d N²), https://keras.io/examples/vision/eanet/.
    """

    kind: Literal["self"] = "self"
    heads: Count = 4
    key_dim: Count = 64
    attention_dropout: Rate = 0.2

    grows = Grows(time="quadratic", memory="quadratic")
    role = "base"

    def held(self, fused_kernel: bool, phase: Phase) -> Attention:
        """Returns the fused kernel where the backend has one and no weight is dropped, as in inference."""
        from models.attentions.fused_self import FusedSelfAttention  # it imports this module

        drops = self.attention_dropout and phase == "train"
        return FusedSelfAttention(heads=self.heads, key_dim=self.key_dim) if fused_kernel and not drops else self

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        """The weights, and the products with them, are quadratic in `patches`."""
        wide = self.heads * self.key_dim
        x, values, weights = patches * dim, patches * wide, patches**2 * self.heads
        dropped = weights + weights // 4 if self.attention_dropout else 0  # the weights after dropout, and the mask
        product = patches**2 * wide
        into, out = 3 * dense(dim, wide), dense(wide, dim)
        yield Part(
            "query_key_value", parameters=into, multiply_adds=3 * x * wide, kept=x + 4 * values, working=x + 3 * values
        )
        yield Part("scores", multiply_adds=product, kept=weights + dropped, working=3 * values + 2 * weights)
        yield Part("weighted_values", multiply_adds=product, kept=values, working=weights + 2 * values)
        yield Part("output_projection", parameters=out, multiply_adds=values * dim, kept=values, working=values + x)
