"""The step-time cases under pytest-benchmark, and which cases those of the gate are."""

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
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", "-q", "--benchmark-only"]
    command += ["-k", CASE, *map(str, arguments)]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    file = tmp_path_factory.mktemp("baseline") / "0001_here.json"
    status, said = timed(f"--benchmark-json={file}")
    assert status == 0, said
    return file


def test_a_baseline_holds_the_case_with_what_is_exact_of_it(baseline):
    content = json.loads(baseline.read_text())
    assert content["machine_info"]["cpu"]["brand_raw"] == cpu_model()
    (benchmark,) = content["benchmarks"]
    assert benchmark["name"] == f"test_step[{CASE}]"
    assert benchmark["stats"]["rounds"] >= 10
    found = benchmark["extra_info"]
    assert (found["parameters"], found["batch"], found["backend"], found["device"]) == (33632, 2, "tensorflow", "cpu")
    assert found["multiply_adds"] > 0
    assert found["versions"]["keras"]


def test_a_baseline_of_this_machine_is_compared_and_drawn(baseline, tmp_path):
    status, said = timed(f"--benchmark-compare={baseline}", f"--benchmark-histogram={tmp_path / 'steps'}")
    assert status == 0, said
    assert "(NOW)" in said
    assert (tmp_path / "steps.svg").exists()


def test_a_baseline_of_another_machine_is_an_error(baseline, tmp_path):
    content = json.loads(baseline.read_text())
    content["machine_info"]["cpu"]["brand_raw"] = "Another CPU"
    (tmp_path / "foreign.json").write_text(json.dumps(content))
    status, said = timed(f"--benchmark-compare={tmp_path / 'foreign.json'}")
    assert status != 0
    assert "the baseline is of a different machine (Another CPU, here " in said


def test_the_cases_are_every_variant_phase_and_scope():
    names = {tuple(name.split("-n")[0].split("-")[:3]) for name in cases()}
    assert names >= {(s, p, v) for s in ("core", "model") for p in ("train", "infer") for v in ("eanet", "vit")}
    assert {trial.patches for trial in cases().values()} == {64, 400, 1296}


def test_the_gates_cases_are_of_the_two_attentions_alike():
    found = gate_cases()
    assert len(found) == 6
    for name, trial in found.items():
        other = found[name.replace("eanet", "vit") if "eanet" in name else name.replace("vit", "eanet")]
        for setting in ("scope", "phase", "patches", "batch"):
            assert getattr(trial, setting) == getattr(other, setting)
