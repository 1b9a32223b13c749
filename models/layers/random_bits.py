"""Draws raw random bits, for which Keras has no name: the one place of the models that knows the backends."""

from typing import Any

import keras
from keras import ops


def random_bytes(shape: tuple[Any, ...], seed_generator: keras.random.SeedGenerator) -> Any:
    """Draws random numbers from 0 to 255 as an array of uint8 of `shape`, four from 32 random bits.

    The last axis of `shape` is a number. `seed_generator` is that of the layer.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.random.bits(seed_generator.next(), shape, "uint8")
    words = (*shape[:-1], (shape[-1] + 3) // 4)
    if backend == "tensorflow":
        import tensorflow as tf

        seed = tf.cast(seed_generator.next() % (tf.int32.max - 1), tf.int32)  # as Keras gives it to TensorFlow
        bits = tf.random.stateless_uniform(words, seed, minval=None, maxval=None, dtype=tf.int32)
    else:
        bits = keras.random.randint(words, -(2**31), 2**31 - 1, "int32", seed_generator)
    return ops.view(bits, "uint8")[..., : shape[-1]]
