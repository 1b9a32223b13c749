"""FNet's mixing: a Fourier transform over patches and features, without a parameter."""

from collections.abc import Iterator
from typing import Literal

from models.attentions.attention import Attention, Grows
from models.cost import Part


class Fourier(Attention):
    """y = the real part of the discrete Fourier transform of x over the features and over the patches.

    It has no matrix product.
    Source: Lee-Thorp et al. 2021, arXiv:2105.03824, equation 3.
    """

    kind: Literal["fourier"] = "fourier"

    grows = Grows(time="N log N", memory="linear")
    role = "rival"

    def parts(self, dim: int, patches: int) -> Iterator[Part]:
        yield Part("fourier", working=6 * patches * dim)
