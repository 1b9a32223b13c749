"""The step-time cases under pytest-benchmark: what would compare or time nothing is an error, never a green run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks.cases import cases, gate_cases
from benchmarks.processor import cpu_model

ROOT = Path(benchmarks.__file__).parent.parent
CASE = "core-infer-eanet-n64"


def timed(*arguments):
    """pytest in a process of its own on one case; its exit status and all that it said."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", "-q", *map(str, arguments)]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    file = tmp_path_factory.mktemp("baseline") / "0001_here.json"
    status, said = timed("--benchmark-only", "-k", CASE, f"--benchmark-json={file}")
    assert status == 0, said
    return file


def test_a_baseline_holds_the_case_with_what_is_exact_of_it(baseline):
    content = json.loads(baseline.read_text())
    assert content["machine_info"]["cpu"]["brand_raw"] == cpu_model()
    (benchmark,) = content["benchmarks"]
    assert benchmark["name"] == f"test_step[{CASE}]"
    assert benchmark["stats"]["rounds"] >= 10
    told = benchmark["extra_info"]
    assert (told["parameters"], told["batch"], told["backend"], told["device"]) == (33632, 2, "tensorflow", "cpu")
    assert told["multiply_adds"] > 0
    assert told["versions"]["keras"]


def test_a_baseline_of_this_machine_is_compared_and_drawn(baseline, tmp_path):
    drawn = f"--benchmark-histogram={tmp_path / 'steps'}"
    status, said = timed("--benchmark-only", "-k", CASE, f"--benchmark-compare={baseline}", drawn)
    assert status == 0, said
    assert "(NOW)" in said
    assert (tmp_path / "steps.svg").exists()


def of_another_machine(content):
    content["machine_info"]["cpu"]["brand_raw"] = "Another CPU"


def of_other_cases(content):
    content["benchmarks"][0]["fullname"] = "elsewhere/test_other.py::test_other"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (of_another_machine, "the baseline is of a different machine"),
        (of_other_cases, "is of other cases: it has no benchmarks/test_step_time.py::test_step"),
    ],
)
def test_a_foreign_baseline_is_an_error(baseline, tmp_path, change, complaint):
    content = json.loads(baseline.read_text())
    change(content)
    (tmp_path / "foreign.json").write_text(json.dumps(content))
    status, said = timed("--benchmark-only", "-k", CASE, f"--benchmark-compare={tmp_path / 'foreign.json'}")
    assert status != 0
    assert complaint in said


def on_another_backend(content):
    content["benchmarks"][0]["extra_info"] |= {"backend": "torch", "batch": 64}


def test_a_baseline_that_was_timed_otherwise_is_an_error(baseline, tmp_path):
    content = json.loads(baseline.read_text())
    on_another_backend(content)
    (tmp_path / "foreign.json").write_text(json.dumps(content))
    status, said = timed("--benchmark-only", "-k", CASE, f"--benchmark-compare={tmp_path / 'foreign.json'}")
    assert status != 0
    assert "was timed otherwise: batch 64, here 2; backend torch, here tensorflow" in said


def test_a_case_that_the_baseline_has_and_nobody_times_is_an_error(baseline, tmp_path):
    content = json.loads(baseline.read_text())
    (known,) = content["benchmarks"]
    names = [f"benchmarks/test_step_time.py::test_step[{name}]" for name in (*cases(), "core-train-lost-n64")]
    content["benchmarks"] = [known | {"fullname": name} for name in names]
    (tmp_path / "more.json").write_text(json.dumps(content))
    status, said = timed("--benchmark-only", f"--benchmark-compare={tmp_path / 'more.json'}")
    assert status != 0
    assert "are not there: benchmarks/test_step_time.py::test_step[core-train-lost-n64]" in said


@pytest.mark.parametrize("content", ["{", None], ids=["unreadable", "missing"])
def test_an_unreadable_baseline_is_an_error(tmp_path, content):
    file = tmp_path / "broken.json"
    if content is not None:
        file.write_text(content)
    status, said = timed("--benchmark-only", "-k", CASE, f"--benchmark-compare={file}")
    assert status != 0
    assert "the baseline cannot be read (" in said
    assert "INTERNALERROR" not in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--benchmark-disable"], "pytest-benchmark is disabled (--benchmark-disable, or xdist's -n)"),
        (["-n", "1"], "pytest-benchmark is disabled (--benchmark-disable, or xdist's -n)"),
        (["-p", "no:benchmark"], "pytest-benchmark is switched off"),
        (["--benchmark-skip"], "--benchmark-skip leaves out every case"),
    ],
    ids=["disabled", "xdist", "no plugin", "skipped"],
)
def test_a_run_that_would_time_nothing_fails(arguments, complaint):
    status, said = timed("-k", CASE, *arguments)
    assert status != 0
    assert complaint in said


def test_the_cases_are_every_variant_phase_and_scope():
    names = {tuple(name.split("-n")[0].split("-")[:3]) for name in cases()}
    assert names >= {(s, p, v) for s in ("core", "model") for p in ("train", "infer") for v in ("eanet", "vit")}
    assert {trial.patches for trial in cases().values()} == {64, 400, 1296}


def test_the_gates_cases_are_of_the_two_attentions_alike():
    found = gate_cases()
    assert len(found) == 6
    for name, trial in found.items():
        other = found[name.replace("eanet", "vit") if "eanet" in name else name.replace("vit", "eanet")]
        assert (trial.scope, trial.phase, trial.patches, trial.batch) == (
            other.scope, other.phase, other.patches, other.batch
        )  # fmt: skip
