"""The Keras layer of Nystroem attention."""

from typing import Any

import numpy as np
from keras import ops, saving

from models.attentions import nystroem
from models.layers.attention import swap
from models.layers.heads import MultiHeadLayer


@saving.register_keras_serializable("eanet-ablation")
class Nystroem(MultiHeadLayer):
    """y = F A^+ (B v) in each head, with F, A and B the softmax of patches and landmarks, on `(batch, patches, dim)`.

    With q' and k' the landmarks, the means of neighbouring queries and keys: F = softmax(q k'^T / sqrt(key_dim)),
    A = softmax(q' k'^T / sqrt(key_dim)), B = softmax(q' k^T / sqrt(key_dim)), and A^+ their iterated inverse. It is
    computed in float32. Source: Xiong et al. 2021, arXiv:2102.03902, equations 13 and 14, without the convolution.
    """

    settings: nystroem.Nystroem

    def build(self, input_shape: tuple[Any, ...]) -> None:
        super().build(input_shape)
        self.averages = averages(input_shape[1], min(self.settings.landmarks, input_shape[1]))

    def mix(self, query: Any, key: Any, value: Any, training: bool) -> Any:
        q, k, v = (ops.cast(x, "float32") for x in (query / self.settings.key_dim**0.5, key, value))
        q_marks, k_marks = ops.matmul(q, self.averages), ops.matmul(k, self.averages)  # (batch, heads, key_dim, marks)
        to_marks = ops.softmax(ops.matmul(swap(q), k_marks), axis=-1)  # (batch, heads, patches, marks)
        between = ops.softmax(ops.matmul(swap(q_marks), k_marks), axis=-1)  # (batch, heads, marks, marks)
        from_marks = ops.softmax(ops.matmul(swap(q_marks), k), axis=-1)  # (batch, heads, marks, patches)
        of_marks = ops.matmul(from_marks, swap(v))  # (batch, heads, marks, key_dim)
        of_marks = ops.matmul(inverse(between), of_marks)  # (batch, heads, marks, key_dim)
        return ops.cast(ops.matmul(swap(of_marks), swap(to_marks)), value.dtype)  # (batch, heads, key_dim, patches)


def averages(patches: int, landmarks: int) -> np.ndarray:
    """Returns the matrix `(patches, landmarks)` that takes the means of segments as nearly equal as they can be."""
    segment = np.arange(patches) * landmarks // patches
    members = (segment[:, None] == np.arange(landmarks)).astype("float32")
    return members / members.sum(axis=0)


def inverse(matrix: Any) -> Any:
    """Approximates the inverse of matrices whose rows sum to 1, by the paper's iteration of third order."""
    columns = ops.sum(matrix, axis=-2, keepdims=True)  # (batch, heads, 1, marks)
    found = swap(matrix) / ops.max(columns, axis=-1, keepdims=True)
    one = np.eye(matrix.shape[-1], dtype="float32")
    for _ in range(nystroem.ITERATIONS):
        product = ops.matmul(matrix, found)
        inner = 15 * one - ops.matmul(product, 7 * one - product)
        found = ops.matmul(found, 13 * one - ops.matmul(product, inner)) / 4
    return found
