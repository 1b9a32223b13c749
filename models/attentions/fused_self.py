"""Self-attention without dropout on its weights, which a backend's fused kernel can compute."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from models.attentions.attention import Attention, Grows
from models.attentions.self import SelfAttention
from models.cost import Part, Phase
from models.settings import Count


class FusedSelfAttention(Attention):
    """Self-attention whose weights are never all in memory: quadratic time, linear memory.

    Source: Dao et al. 2022, arXiv:2205.14135.
    """

    kind: Literal["fused_self"] = "fused_self"
    heads: Count = 4
    key_dim: Count = 64

    grows = Grows(time="quadratic", memory="linear")
    role = "base"
    needs_fused_kernel = True
    attention_dropout: ClassVar[float] = 0.0

    @property
    def unfused(self) -> SelfAttention:
        """The same attention as a backend without such a kernel computes it."""
        return SelfAttention(heads=self.heads, key_dim=self.key_dim, attention_dropout=0.0)

    def held(self, fused_kernel: bool, phase: Phase) -> Attention:
        return self if fused_kernel else self.unfused

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        """Returns the products of self-attention, without an array of `patches` x `patches`."""
        query_key_value, scores, weighted, output = self.unfused.parts(dim, patches)
        values, sums = patches * self.heads * self.key_dim, patches * self.heads
        yield query_key_value
        yield replace(scores, kept=sums, working=4 * values + sums)
        yield replace(weighted, kept=values, working=4 * values)
        yield output
