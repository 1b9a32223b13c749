"""Where a step's time goes: operations fall into parts by name, and the parts add up to the step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.step_profile import IDLE, REST, Span, part_of, shares


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("external_1/block_0_1/external_attention_1/MatMul_2:_MklBatchMatMulV2", "matrix products"),
        (
            "gradient_tape/self_1/block_0_1/feed_forward_1/hidden_1/MatMul/MatMul:_MklMatMul",
            "matrix products",
        ),
        ("external_1/block_0_1/external_attention_1/stateless_random_uniform:StatelessRandomUniformIntV2", "dropout"),
        ("external_1/block_0_1/feed_forward_1/dropout_2_1/SelectV2:SelectV2", "dropout"),
        ("external_1/block_0_1/external_attention_1/Softmax:_MklSoftmax", REST),
        ("external_1/block_0_1/layer_normalization_1/moments/SquaredDifference:SquaredDifference", "layer norms"),
        ("external_1/random_rotation_1/mul_3:Mul", "input and augmentation"),
        ("functional_1/multi_head_attention_1/softmax_1/Softmax:_MklSoftmax", REST),
        ("adam_w_1/AssignSubVariableOp_7:AssignSubVariableOp", "optimizer"),
        ("external_1/block_0_1/external_attention_1/ArithmeticOptimizer/AddOpsRewrite_add_1:AddV2", REST),
        ("external_1/block_0_1/feed_forward_1/Gelu/Tanh:Tanh", "GELU, biases, residuals"),
    ],
)
def test_an_operation_belongs_to_the_part_that_its_name_tells(operation, part):
    assert part_of(operation) == part


def test_moments_are_shared_by_what_runs_in_them_and_idle_where_nothing_does():
    spans = [Span("a", 0, 40), Span("b", 20, 40), Span("a", 70, 200)]
    assert shares(spans, 0, 100) == {"a": 30 + 30, "b": 10, IDLE: 30}


def test_what_ran_before_or_after_the_step_has_no_part_in_it():
    spans = [Span("a", 0, 9), Span("a", 10, 13), Span("b", 29, 31), Span("c", 30, 40)]
    assert shares(spans, 10, 30) == {"a": 3, "b": 1, IDLE: 16}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 97), st.integers(1, 53)), max_size=12))
def test_the_parts_add_up_to_the_step(spans):
    found = shares([Span(part, start, min(start + length, 101)) for part, start, length in spans], 0, 101)
    assert sum(found.values()) == pytest.approx(101)
