"""A gate on disk, also of an earlier version."""

import json

import pytest

from results import gates
from results.gates import GateError
from tests import samples

VERSION_1 = {
    "schema_version": 1,
    "base": "main",
    "base_commit": "0123456",
    "head_commit": None,
    "dirty": True,
    "command": "python -m benchmarks.regress main",
    "started": "2026-01-02T03:04:05+00:00",
    "machine": {"cpu": "A CPU", "threads": 1, "python": "3.11.7", "versions": {}},
    "design": {"looks": [4], "alphas": [0.01], "floor": 0.05, "detectable": 0.1, "steps": 3},
    "blocks": [
        {
            "sides": ["base", "head", "head", "base"],
            "seconds": [{"a": 2.0}, {"a": 3.0}, {"a": 5.0}, {"a": 7.0}],
            "swapped": False,
        },
        {
            "sides": ["head", "base", "base", "head"],
            "seconds": [{"a": 11.0}, {"a": 13.0}, {"a": 17.0}, {"a": 19.0}],
            "swapped": True,
        },
    ],
    "changes": [],
    "verdict": {
        "decision": "inconclusive",
        "unstable": ["a"],
        "cases": [
            {
                "case": "a",
                "base_seconds": 2.0,
                "head_seconds": 3.0,
                "ratio": 1.5,
                "low": 0.5,
                "high": 4.5,
                "pairs": 4,
                "p_value": 0.3,
                "detectable": 2.0,
                "verdict": "too noisy to tell",
            }
        ],
    },
}


def test_a_gate_of_version_1_had_blocks_of_two_pairs_of_neighbours(tmp_path):
    (tmp_path / "gate.json").write_text(json.dumps(VERSION_1))
    gate = gates.read(tmp_path)
    assert [(pair.first, pair.base["a"], pair.head["a"], pair.ratios["a"]) for pair in gate.pairs] == [
        ("base", 2.0, 3.0, 1.5),
        ("head", 7.0, 5.0, 5 / 7),
        ("head", 13.0, 11.0, 11 / 13),
        ("base", 17.0, 19.0, 19 / 17),
    ]
    assert not gate.in_duets
    assert gates.sentence(gate).startswith("Inconclusive: 4 pairs of processes could miss a slowdown of 10 % (a)")
    (tmp_path / "gate.json").write_text(json.dumps(VERSION_1 | {"blocks": [{"sides": ["base"]}]}))
    with pytest.raises(GateError, match="its blocks cannot be read"):
        gates.read(tmp_path)


def test_a_gate_is_read_as_it_was_written(tmp_path):
    gate = samples.gate(0.2)
    gates.write(tmp_path / "gate", gate)
    assert gates.read(tmp_path / "gate") == gate
    with pytest.raises(GateError, match=r"gate\.json cannot be read: No such file"):
        gates.read(tmp_path)


def test_a_history_keeps_every_gate_in_order_also_where_its_last_newline_is_missing(tmp_path):
    history = tmp_path / "deep" / "history.jsonl"
    assert gates.read_history(history) == ()
    found = tuple(samples.gate(seed=seed) for seed in range(3))
    for gate in found:
        gates.append(history, gate)
        history.write_bytes(history.read_bytes().rstrip())
    assert gates.read_history(history) == found


@pytest.mark.parametrize("line", ["{", "{}", '{"schema_version": 3}', '{"schema_version": 1}', "[1]", "not json"])
def test_a_foreign_line_is_named_with_its_number(tmp_path, line):
    history = tmp_path / "history.jsonl"
    gates.append(history, samples.gate())
    with history.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(GateError, match=r"history\.jsonl:2 is not what a gate writes"):
        gates.read_history(history)


BLIND = "Inconclusive: 16 pairs of processes could miss a slowdown of 10 % ()"


@pytest.mark.parametrize(
    ("slowdown", "changes", "words"),
    [
        (0.2, {}, "Slower: core-train-eanet-n256 by "),
        (0.0, {}, "No slowdown shown in 16 pairs of processes; the minimum detectable slowdown is at most "),
        (0.0, {"decision": "inconclusive"}, BLIND),
    ],
    ids=["slower", "clean", "blind"],
)
def test_the_verdict_is_a_sentence_that_says_why(slowdown, changes, words):
    gate = samples.gate(slowdown)
    verdict = gate.verdict.model_copy(update=changes)
    assert gates.sentence(gate.model_copy(update={"verdict": verdict})).startswith(words)
