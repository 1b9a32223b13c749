"""The checklist of an attention: each in `VARIANTS` has cost, claim, layer, style and a NumPy reference.

References are slow and in double precision, written from the papers' equations. Their gradients come from the complex
step, f'(x) = Im f(x + ih) / h, which has no rounding error of differences (Squire and Trapp 1998,
https://doi.org/10.1137/S003614459631241X).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
import pytest

from benchmarks.products import counted_multiply_adds
from benchmarks.steptime import layer_step
from models.attentions.attention import Attention, Grows
from models.attentions.cross_covariance import CrossCovariance
from models.attentions.external import ExternalAttention
from models.attentions.fourier import Fourier
from models.attentions.fused_self import FusedSelfAttention
from models.attentions.identity import Identity
from models.attentions.linear import LinearAttention
from models.attentions.linformer import Linformer
from models.attentions.mean import Mean
from models.attentions.nystroem import ITERATIONS, Nystroem
from models.attentions.performer import Performer
from models.attentions.pooling import Pooling
from models.attentions.random_mixing import RandomMixing
from models.attentions.self import SelfAttention
from models.build import adapt_normalization, build_attention, build_model, layer_of
from models.config import ATTENTIONS, VARIANTS, ModelConfig, Variant
from results import published

BATCH, PATCHES, HEADS, WIDTH, COEFFICIENT, UNITS, KEY_DIM = 5, 11, 3, 7, 2, 13, 17
UNITS_OF_LESS = 5
"""Landmarks, or patches that they are projected to: fewer than there are."""
DIM = HEADS * WIDTH
tensorflow_alone = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes TensorFlow's graphs")


def softmax(x, axis):
    e = np.exp(x - x.real.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def external(settings, x, weights):
    """The published form: softmax over the patches, then division by 1e-9 + the sum over the units."""
    w_query, b_query, w_key, b_key, w_value, b_value, w_out, b_out = weights
    width = x.shape[-1] // settings.heads
    out = np.empty(x.shape, complex)
    for image in range(len(x)):
        query = x[image] @ w_query + b_query
        heads = []
        for head in range(settings.heads * settings.dim_coefficient):
            own = (w[head] if w_key.ndim == 3 else w for w in (w_key, b_key, w_value, b_value))
            key, key_bias, value, value_bias = own
            logits = query[:, head * width : (head + 1) * width] @ key + key_bias
            attention = softmax(logits, axis=1 if settings.normalization == "units" else 0)
            if settings.normalization == "double":
                attention = attention / (1e-9 + attention.sum(axis=1, keepdims=True))
            heads.append(attention @ value + value_bias)
        out[image] = np.concatenate(heads, axis=1) @ w_out + b_out
    return out


def self_attention(settings, x, weights):
    """Keras's layout: kernels (dim, heads, key_dim), output (heads, key_dim, dim)."""
    w_query, b_query, w_key, b_key, w_value, b_value, w_out, b_out = weights
    out = np.empty(x.shape, complex)
    for image in range(len(x)):
        total = np.zeros(x.shape[1:], complex) + b_out
        for head in range(settings.heads):
            query, key, value = (
                x[image] @ w[:, head] + b[head] for w, b in ((w_query, b_query), (w_key, b_key), (w_value, b_value))
            )
            total = total + softmax(query @ key.T / np.sqrt(settings.key_dim), axis=1) @ value @ w_out[head]
        out[image] = total
    return out


def in_heads(mix):
    """A reference of attentions with heads: `mix` takes one head's queries, keys and values `(patches, key_dim)`, the
    settings, the head's number, and those weights that are not of the projections."""

    def reference(settings, x, weights):
        wide = settings.heads * settings.key_dim
        first = next(place for place, weight in enumerate(weights) if weight.shape == (x.shape[-1], wide))
        w_query, b_query, w_key, b_key, w_value, b_value, w_out, b_out = weights[first : first + 8]
        others = [*weights[:first], *weights[first + 8 :]]
        out = np.empty(x.shape, complex)
        for image in range(len(x)):
            projected = [x[image] @ w + b for w, b in ((w_query, b_query), (w_key, b_key), (w_value, b_value))]
            heads = []
            for head in range(settings.heads):
                columns = slice(head * settings.key_dim, (head + 1) * settings.key_dim)
                heads.append(mix(*(values[:, columns] for values in projected), settings, head, *others))
            out[image] = np.concatenate(heads, axis=1) @ w_out + b_out
        return out

    return reference


def by_kernel(query, key, value):
    """Each patch's mean of the values, weighted by the products of its features with those of all patches."""
    weights = query @ key.T
    return weights @ value / weights.sum(axis=1, keepdims=True)


def linear(query, key, value, settings, head):
    def feature(x):
        return np.where(x.real > 0, x, np.exp(x) - 1) + 1

    return by_kernel(feature(query), feature(key), value)


def performer(query, key, value, settings, head, random):
    def features(x):
        projected = x @ random.T / settings.key_dim**0.25
        return np.where(projected.real > 0, projected, 0) + 1e-3

    return by_kernel(features(query), features(key), value)


def linformer(query, key, value, settings, head, of_keys, of_values):
    scores = query @ (of_keys.T @ key).T / np.sqrt(settings.key_dim)
    return softmax(scores, axis=1) @ (of_values.T @ value)


def cross_covariance(query, key, value, settings, head, temperature):
    query, key = (x / np.sqrt((x * x).sum(axis=0)) for x in (query, key))
    return value @ softmax(temperature[head, 0, 0] * query.T @ key, axis=1).T


def nystroem(query, key, value, settings, head):
    root = np.sqrt(settings.key_dim)
    segments = [np.flatnonzero(np.arange(PATCHES) * UNITS_OF_LESS // PATCHES == mark) for mark in range(UNITS_OF_LESS)]
    query_marks, key_marks = (np.stack([x[members].mean(axis=0) for members in segments]) for x in (query, key))
    to_marks, between, from_marks = (
        softmax(a @ b.T / root, axis=1) for a, b in ((query, key_marks), (query_marks, key_marks), (query_marks, key))
    )
    columns, one = between.sum(axis=0), np.eye(UNITS_OF_LESS)
    inverse = between.T / columns[np.argmax(columns.real)]
    for _ in range(ITERATIONS):
        product = between @ inverse
        inverse = inverse @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    return to_marks @ inverse @ (from_marks @ value)


def fourier(settings, x, weights):
    """By the cosines and sines themselves, which stay real for a real x."""

    def angles(size):
        return 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size

    patches, features = angles(x.shape[1]), angles(x.shape[2])
    return np.cos(patches) @ x @ np.cos(features) - np.sin(patches) @ x @ np.sin(features)


def pooling(settings, x, weights):
    """On 1 x 11 patches, for 11 is a prime: the mean of those beside a patch and itself."""
    around = [x[:, max(0, n - 1) : n + 2].mean(axis=1) for n in range(x.shape[1])]
    return np.stack(around, axis=1) - x


@dataclass(frozen=True)
class Case:
    """An attention in sizes that are distinct primes, and its reference: a function of x and its layer's weights.

    `unmoved` are the ends of the names of those weights whose gradient is 0: a softmax cancels what it adds to all.
    """

    attention: Attention
    reference: Callable
    unmoved: tuple[str, ...] = ()


def of_external(*, unmoved=("memory_key/bias", "query/bias"), **more):
    sizes = {"heads": HEADS, "dim_coefficient": COEFFICIENT, "memory_units": UNITS}
    return Case(ExternalAttention(**sizes | more), external, unmoved)


CASES = {
    "external": of_external(),
    "external-patches": of_external(normalization="patches"),
    "external-units": of_external(normalization="units", unmoved=()),
    "external-own-memories": of_external(memory_sharing="none"),
    "external-one-memory": of_external(memory_sharing="layers"),
    "folded": of_external(implementation="folded"),
    "folded-patches": of_external(implementation="folded", normalization="patches"),
    "folded-units": of_external(implementation="folded", normalization="units", unmoved=()),
    "folded-own-memories": of_external(implementation="folded", memory_sharing="none"),
    "self": Case(SelfAttention(heads=HEADS, key_dim=KEY_DIM), self_attention, ("/key/bias",)),
    "fused": Case(FusedSelfAttention(heads=HEADS, key_dim=KEY_DIM), self_attention, ("/key/bias",)),
    "identity": Case(Identity(), lambda _, x, weights: x),
    "mean": Case(Mean(), lambda _, x, weights: x.mean(axis=1, keepdims=True) + np.zeros(x.shape)),
    "random-mixing": Case(RandomMixing(), lambda _, x, weights: weights[0] @ x, ("mixing",)),
    "external-start": of_external(memory_value_start="keys"),
    "linear": Case(LinearAttention(heads=HEADS, key_dim=KEY_DIM), in_heads(linear)),
    "performer": Case(Performer(heads=HEADS, key_dim=KEY_DIM, features=UNITS), in_heads(performer), ("/random",)),
    "linformer": Case(Linformer(heads=HEADS, key_dim=KEY_DIM, projected=UNITS_OF_LESS), in_heads(linformer)),
    "nystroem": Case(
        Nystroem(heads=HEADS, key_dim=KEY_DIM, landmarks=UNITS_OF_LESS), in_heads(nystroem), ("/key/bias",)
    ),
    "cross-covariance": Case(CrossCovariance(heads=HEADS, key_dim=KEY_DIM), in_heads(cross_covariance)),
    "fourier": Case(Fourier(), fourier),
    "pooling": Case(Pooling(), pooling),
}
SMALL = {"image_size": 15, "channels": 2, "classes": 7, "patch_size": 5, "blocks": 2, "mlp_dim": 13}


def without_dropout(attention):
    """The attention with every dropout of its settings off."""
    return attention.model_copy(update={name: 0.0 for name in type(attention).model_fields if "dropout" in name})


def random_layer(attention, seed):
    """Its layer with random weights, biases too, and these: the trainable ones first."""
    layer, rng = build_attention(attention), np.random.default_rng(seed)
    layer.build((BATCH, PATCHES, DIM))
    weights = [*layer.trainable_weights, *(w for w in layer.non_trainable_weights if "seed" not in w.path)]
    for weight in weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer, weights


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def config(case):
    return ModelConfig(**SMALL, embedding_dim=DIM, attention=case.attention)


@pytest.fixture
def images():
    return np.random.default_rng(3).uniform(0, 255, (BATCH, 15, 15, 2)).astype("float32")


@pytest.fixture
def labels():
    return np.eye(7, dtype="float32")[[1, 3, 5, 0, 2]]


@pytest.fixture
def x():
    return np.random.default_rng(17).standard_normal((BATCH, PATCHES, DIM)).astype("float32")


def test_every_attention_of_a_variant_has_a_reference_here():
    assert ATTENTIONS.keys() == {case.attention.kind for case in CASES.values()}


def test_what_the_tutorial_claims_it_claims_of_variants():
    assert {claim.variant for claim in published.CLAIMS} <= VARIANTS.keys()


def test_no_two_variants_are_one():
    unique = [(v.title, v.color, v.marker, v.attention.model_dump_json()) for v in VARIANTS.values()]
    for values in zip(*unique, strict=True):
        assert len(set(values)) == len(VARIANTS), values
    assert all(re.fullmatch("#[0-9a-f]{6}", variant.color) for variant in VARIANTS.values())
    assert len(ATTENTIONS) == len({type(variant.attention) for variant in VARIANTS.values()}), "two have one kind"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variants_attention_and_layer_have_one_name_and_are_where_its_kind_says(name):
    attention = VARIANTS[name].attention
    layer = layer_of(attention)
    assert layer.__name__ == type(attention).__name__
    assert type(attention).__module__ == f"models.attentions.{attention.kind}"
    assert layer.__module__ == f"models.layers.{attention.kind}"
    assert re.search("batch, patches, dim|same|settings and shapes", layer.__doc__)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_attention_is_all_that_a_variant_changes(name):
    def beside_the_attention(variant):
        model = build_model(variant.model.model_copy(update={"blocks": 2, "image_size": 6}))
        attention = {id(weight) for index in range(2) for weight in model.get_layer(f"block_{index}").attention.weights}
        return [tuple(weight.shape) for weight in model.weights if id(weight) not in attention]

    assert beside_the_attention(VARIANTS[name]) == beside_the_attention(VARIANTS["eanet"])
    assert len(beside_the_attention(VARIANTS[name])) == 3 + 3 + 2 * 8 + 2  # normalization, embedding, blocks, head


def test_what_is_forgotten_of_an_attention_is_an_error_that_names_it():
    whole = {"parts": lambda self, dim, patches: iter(()), "grows": Grows("linear", "linear"), "role": "rival"}
    kind = {"__annotations__": {"kind": Literal["forgetful"]}, "kind": "forgetful", "__module__": "here"}
    for name in whole:
        with pytest.raises(TypeError, match=rf"the attention Forgetful \(here\) does not say its {name}"):
            type("Forgetful", (Attention,), kind | {key: value for key, value in whole.items() if key != name})
        with pytest.raises(TypeError, match=rf"the attention Heir \(here\) does not say its {name}"):
            type("Heir", (SelfAttention,), kind | {key: value for key, value in whole.items() if key != name})
    with pytest.raises(ModuleNotFoundError, match=r"models\.layers\.forgetful"):
        layer_of(type("Forgetful", (Attention,), kind | whole)())
    for name in ("title", "color", "marker"):
        given = {"title": "A", "color": "#000000", "marker": "o", "attention": Identity()}
        del given[name]
        with pytest.raises(TypeError, match=name):
            Variant(**given)


@pytest.mark.parametrize("memory_sharing", ["heads", "none", "layers"])
def test_values_begin_as_the_transposed_keys_where_the_settings_say_so(memory_sharing):
    for start in ("keys", "own"):
        settings = of_external(memory_value_start=start, memory_sharing=memory_sharing).attention
        for layer in layer_of(settings).for_blocks(settings, DIM, 2):
            layer.build((BATCH, PATCHES, DIM))
            key, value = (keras.ops.convert_to_numpy(m.kernel) for m in (layer.memory_key, layer.memory_value))
            assert np.array_equal(value, key.swapaxes(-1, -2)) == (start == "keys")


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def test_the_output_is_the_references(case, x):
    attention = without_dropout(case.attention)
    layer, weights = random_layer(attention, seed=19)
    output = keras.ops.convert_to_numpy(layer_step(layer, x, "infer")[0]())
    assert output.shape == (BATCH, PATCHES, DIM)
    values = [keras.ops.convert_to_numpy(weight).astype("float64") for weight in weights]
    assert relative_error(output, case.reference(attention, x.astype("float64"), values).real) < 1e-5


@tensorflow_alone
def test_the_gradients_are_the_references(case, x):
    attention = without_dropout(case.attention)
    layer, weights = random_layer(attention, seed=23)
    gradients = [keras.ops.convert_to_numpy(g) for g in layer_step(layer, x, "train")[0]()]
    values = [x.astype(complex), *(keras.ops.convert_to_numpy(weight).astype(complex) for weight in weights)]
    assert len(gradients) == 1 + len(layer.trainable_weights)
    # A bias that the softmax over patches cancels has gradient 0: errors are compared with the largest gradient.
    largest = max(np.abs(gradient).max() for gradient in gradients)
    step = 1e-30
    rng = np.random.default_rng(29)
    for gradient, value in zip(gradients, values, strict=False):  # what is not trained has no gradient
        assert gradient.shape == value.shape
        for index in rng.permutation(value.size)[:41]:
            position = np.unravel_index(index, value.shape)
            kept = value[position]
            value[position] = kept + 1j * step
            derivative = (case.reference(attention, values[0], values[1:]) ** 2).sum().imag / 2 / step
            value[position] = kept
            assert abs(gradient[position] - derivative) < 1e-5 * largest, (position, gradient[position], derivative)


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


@tensorflow_alone
def test_the_cost_is_that_of_the_layer_and_of_its_graph(case):
    layer, _ = random_layer(case.attention, seed=31)
    cost = case.attention.cost(DIM, PATCHES)
    assert cost.parameters == trainable(layer)
    counted = counted_multiply_adds(lambda x: layer(x, training=False), (1, PATCHES, DIM))
    assert counted == cost.multiply_adds + cost.weight_multiply_adds
    assert 0 < cost.activation_bytes(2, "infer") <= cost.activation_bytes(2, "train")


def test_a_model_is_what_its_settings_say_and_is_saved_whole(config, images, tmp_path):
    model = build_model(config, "corrected")
    adapt_normalization(model, images)
    probabilities = model.predict(images, verbose=0)
    assert probabilities.shape == (BATCH, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert trainable(model) == config.cost().parameters

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(again.predict(images, verbose=0), probabilities, rtol=1e-5)
    assert [again.get_layer(f"block_{n}").attention.settings for n in range(2)] == [config.attention] * 2
    assert trainable(again) == trainable(model), "what blocks share they share when loaded"


def test_one_training_step_changes_every_weight(case, config, images, labels):
    model = build_model(config, "corrected")
    adapt_normalization(model, images)  # else JAX clips what the loss of a saturated model says to a gradient of 0
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    before = [weight.copy() for weight in model.get_weights()]
    assert np.isfinite(model.train_on_batch(images, labels))
    after = model.get_weights()
    unchanged = [w.path for w, old, new in zip(model.weights, before, after, strict=True) if np.array_equal(old, new)]
    others = [path for path in unchanged if not path.startswith(("normalization", "seed_generator"))]
    assert all(path.endswith(case.unmoved or "nothing") for path in others), others


def test_half_precision_stays_finite(config, images, labels):
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = build_model(config)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", "categorical_crossentropy", jit_compile=False)
    assert model.get_layer("block_0").compute_dtype == "bfloat16"
    assert model.get_layer("block_0").attention.compute_dtype == "bfloat16"
    assert all(np.isfinite(model.train_on_batch(images * 1e3, labels)) for _ in range(3))
    assert np.isfinite(model.predict(images, verbose=0)).all()
