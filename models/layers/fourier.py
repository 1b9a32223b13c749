"""The Keras layer of FNet's mixing."""

from typing import Any

from keras import ops, saving

from models.layers.attention import AttentionLayer


@saving.register_keras_serializable("eanet-ablation")
class Fourier(AttentionLayer):
    """y = Re(F_patches(F_features(x))) on `(batch, patches, dim)`, in float32.

    Source: Lee-Thorp et al. 2021, arXiv:2105.03824, equation 3.
    """

    def call(self, x: Any, training: bool | None = None) -> Any:
        full = ops.cast(x, "float32")
        real, _ = ops.fft2((full, ops.zeros_like(full)))  # (batch, patches, dim)
        return ops.cast(real, x.dtype)
