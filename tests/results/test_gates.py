"""A gate on disk, and the pairs that its blocks of processes make."""

import pytest

from results import gates
from results.gates import Block, GateError
from tests import samples


def block(sides, seconds, swapped=False):
    return Block(sides=sides, seconds=tuple({"a": s} for s in seconds), swapped=swapped)


def test_a_block_is_two_pairs_of_neighbours_whatever_its_order():
    one = block(("base", "head", "head", "base"), (2.0, 3.0, 5.0, 7.0))
    other = block(("head", "base", "base", "head"), (11.0, 13.0, 17.0, 19.0))
    assert gates.pairs([one, other]) == {"a": [(2.0, 3.0), (7.0, 5.0), (13.0, 11.0), (17.0, 19.0)]}


def test_processes_of_the_same_code_are_paired_as_chance_has_drawn():
    sides = ("base", "head", "head", "base")
    assert gates.same_code_pairs([block(sides, (2.0, 3.0, 5.0, 7.0))]) == {"a": [(2.0, 7.0), (3.0, 5.0)]}
    assert gates.same_code_pairs([block(sides, (2.0, 3.0, 5.0, 7.0), swapped=True)]) == {"a": [(7.0, 2.0), (5.0, 3.0)]}


def test_a_gate_is_read_as_it_was_written(tmp_path):
    gate = samples.gate(0.2)
    gates.write(tmp_path / "gate", gate)
    assert gates.read(tmp_path / "gate") == gate
    assert gates.read(tmp_path) is None


def test_a_history_keeps_every_gate_in_order_also_where_its_last_newline_is_missing(tmp_path):
    history = tmp_path / "deep" / "history.jsonl"
    assert gates.read_history(history) == ()
    found = tuple(samples.gate(seed=seed) for seed in range(3))
    for gate in found:
        gates.append(history, gate)
        history.write_bytes(history.read_bytes().rstrip())
    assert gates.read_history(history) == found


@pytest.mark.parametrize("line", ["{", "{}", '{"schema_version": 2}', "[1]", "not json"])
def test_a_foreign_line_is_named_with_its_number(tmp_path, line):
    history = tmp_path / "history.jsonl"
    gates.append(history, samples.gate())
    with history.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(GateError, match=r"history\.jsonl:2 is not what a gate writes"):
        gates.read_history(history)


UNSTABLE = "Inconclusive: processes of the same code differ by the gate's own rule (core-train-vit-n256), so that "
BLIND = "Inconclusive: 16 pairs of processes could miss a slowdown of 10 % ()"


@pytest.mark.parametrize(
    ("slowdown", "changes", "words"),
    [
        (0.2, {}, "Slower: core-train-eanet-n256 by "),
        (0.0, {}, "No slowdown shown in 16 pairs of processes; the minimum detectable slowdown is at most "),
        (0.0, {"decision": "inconclusive", "unstable": ("core-train-vit-n256",)}, UNSTABLE),
        (0.0, {"decision": "inconclusive"}, BLIND),
    ],
    ids=["slower", "clean", "unstable", "blind"],
)
def test_the_verdict_is_a_sentence_that_says_why(slowdown, changes, words):
    gate = samples.gate(slowdown)
    verdict = gate.verdict.model_copy(update=changes)
    assert gates.sentence(gate.model_copy(update={"verdict": verdict})).startswith(words)
