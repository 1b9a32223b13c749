"""The Keras layer of self-attention without dropout on its weights."""

import keras

from models.layers import self as self_attention


@keras.saving.register_keras_serializable("eanet-ablation")
class FusedSelfAttention(self_attention.SelfAttention):
    """Self-attention with no dropout on its weights, which Keras can pass to the backend's fused kernel.

    Function, settings and shapes of `models.layers.self.SelfAttention`. Such a kernel never holds the
    `(batch, heads, patches, patches)` weights: its time stays quadratic in `patches`, its memory is linear. PyTorch has
    one everywhere, JAX on a GPU in half precision, TensorFlow none (`keras.ops.dot_product_attention`).
    Source: Dao et al. 2022, arXiv:2205.14135.
    """
