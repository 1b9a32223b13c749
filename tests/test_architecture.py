"""The house: imports point one way, and the heavy libraries load only where they are needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BACKENDS = {"tensorflow", "jax", "torch"}
HEAVY = {"keras", *BACKENDS, "pandas", "seaborn", "matplotlib", "scipy", "sklearn", "numpy", "ray"}
ROOMS = ("models", "results", "benchmarks", "report")
GROUND_FLOOR = ("models.config", "models.attentions", "models.cost", "models.settings")
"""What every room may import, free of Keras."""
MAY_IMPORT = {
    "models": ("models",),
    "results": ("results", *GROUND_FLOOR),
    "benchmarks": ("benchmarks", "models", "results"),
    "report": ("report", "results", *GROUND_FLOOR),
}


def modules(path):
    """All modules that a file imports, anywhere in it, and what it takes from them: "models.config.VARIANTS"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(path):
    """Top-level names of all modules that a file imports."""
    return {name.split(".")[0] for name in modules(path)}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for name in modules(path):
            of_the_house = name.split(".")[0] in ROOMS
            assert not of_the_house or f"{name}.".startswith(tuple(f"{room}." for room in MAY_IMPORT[room])), path


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("results", set()),
        ("report", set()),
        ("models", {"random_bits.py"}),
        ("benchmarks", {"batches.py", "environment.py", "memory.py", "products.py", "steptime.py", "stopwatch.py"}),
    ],
)
def test_few_modules_name_a_backend(room, allowed):
    assert {path.name for path in (ROOT / room).rglob("*.py") if imported(path) & BACKENDS} <= allowed


def loaded_by(statement):
    """Which heavy libraries a fresh process has loaded after a statement."""
    code = f"{statement}\nimport sys; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import report", set()),
        ("import report.page, report.figures", {"pandas", "seaborn", "matplotlib", "scipy", "numpy"}),
        ("import models.config, models.attentions, models.cost", set()),
        ("import results.records, results.store", set()),
        ("import benchmarks.run", set()),
        ("import benchmarks.regress", set()),
        ("import report.__main__", set()),
        ("import sys; sys.argv = ['x', '--all', '--dry-run']; import benchmarks.run; benchmarks.run.main()", {"numpy"}),
        ("import sys; sys.argv = ['x', '--list']; import benchmarks.run; benchmarks.run.main()", {"numpy"}),
    ],
)
def test_a_fresh_process_loads_no_more_than_it_needs(statement, allowed):
    """The commands that tell how long trials take measure this machine's pace with NumPy."""
    assert loaded_by(statement) <= allowed
