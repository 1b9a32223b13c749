"""The timing gate on real trees: what is slower is found, what cannot be compared is said, nothing is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import benchmarks
from benchmarks import regress
from benchmarks.suite import InputError
from results import gates
from results.gates import Design

ROOT = Path(benchmarks.__file__).parent.parent
EANET, VIT = "core-train-eanet-n256", "core-train-vit-n256"
SIDES = {"base": "main (0123456)", "head": "the working tree"}


def git(tree, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", str(tree), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def edit(file: Path, old: str, new: str):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of its own with this tree's code, which the gate takes for the one that it stands in."""
    for room in ("models", "benchmarks", "results"):
        shutil.copytree(
            ROOT / room, tmp_path / "tree" / room, ignore=shutil.ignore_patterns("runs", "reference", "__*__")
        )
        for package in (ROOT / room).rglob("__init__.py"):
            shutil.copy(package, tmp_path / "tree" / package.relative_to(ROOT))
    (tmp_path / "tree" / "report").symlink_to(ROOT / "report")
    git(tmp_path / "tree", "init", "-q", "-b", "main")
    git(tmp_path / "tree", "add", "-A")
    git(tmp_path / "tree", "commit", "-qm", "base")
    monkeypatch.setattr(regress, "ROOT", tmp_path / "tree")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "tree"


def gate(monkeypatch, capsys, *arguments):
    """Exit status, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["benchmarks.regress", *map(str, arguments)])
    monkeypatch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)  # pytest's own handlers stay
    try:
        status = regress.main()
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    return status, said.out, said.err


def assert_nothing_left(tree):
    assert len(git(tree, "worktree", "list").splitlines()) == 1
    assert not list(tree.parent.glob(f"{regress.PREFIX}*"))


def test_a_slower_attention_is_found_and_the_other_one_left_alone(tree, monkeypatch, capsys):
    """External attention gets 16 more softmaxes, several times its step; eight processes of two cases, about a minute.

    How small a slowdown the gate finds is its study's question. Here the floor is above any noise, so that neither a
    case nor the same code held against itself can be flagged by chance.
    """
    joined = "joined = ops.reshape(values, (-1, patches, dim * self.dim_coefficient))"
    more = "\n        for _ in range(16):\n            joined = joined + 1e-30 * ops.softmax(ops.exp(joined))"
    edit(tree / "models" / "attention.py", joined, joined + more)
    monkeypatch.setattr(
        regress, "PULL_REQUEST", Design(looks=(4,), alphas=(0.05,), floor=0.5, detectable=9.0, steps=10)
    )
    out, history = tree.parent / "out", tree.parent / "history.jsonl"
    status, said, _ = gate(
        monkeypatch, capsys, "main", "--case", EANET, "--case", VIT, "--out", out, "--record", history
    )
    assert status == 1, said
    found = gates.read(out)
    verdicts = {case.case: case.verdict for case in found.verdict.cases}
    assert verdicts[EANET] == "slower"
    assert verdicts[VIT] != "slower"
    assert found.dirty
    assert found.base_commit == git(tree, "rev-parse", "main")
    assert len(found.blocks) == 2
    assert f"Slower: {EANET} by " in said
    (change,) = found.changes
    assert change.startswith(f"{EANET}: ")
    assert "Softmax 1 -> 17" in change
    assert gates.read_history(history) == (found,)
    markdown = (out / "gate.md").read_text()
    assert "### Slower" in markdown
    assert f"| `{EANET}` |" in markdown
    assert f"Slower: {EANET} by " in (out / "report.html").read_text()
    assert_nothing_left(tree)


def counted(**changes):
    shape = {"scope": "core", "phase": "train", "patches": 256, "batch": 16, "precision": "float32"}
    return {"shape": shape, "parameters": 7, "multiply_adds": 11, "operations": {"MatMul": 3}} | changes


@pytest.mark.parametrize(
    ("base", "head", "complaint"),
    [
        ({"a": counted(), "b": counted(parameters=5)}, {"a": counted()}, "the working tree has no case b"),
        ({"a": counted()}, {"a": counted(), "b": counted(parameters=5)}, r"main \(0123456\) has no case b"),
        ({"a": counted()}, {"b": counted()}, "case a is called b in the working tree: renamed"),
        ({"a": counted()}, {"a": counted(shape={"batch": 8})}, "case a is another one"),
    ],
    ids=["lost", "new", "renamed", "another shape"],
)
def test_a_case_that_cannot_be_compared_is_an_error(base, head, complaint):
    with pytest.raises(InputError, match=complaint):
        regress.compared_cases({"base": base, "head": head}, [], SIDES)


def test_chosen_cases_are_compared_whatever_the_others_are():
    both = {"base": {"a": counted(), "b": counted()}, "head": {"a": counted(), "c": counted()}}
    assert regress.compared_cases(both, ["a"], SIDES) == ["a"]
    with pytest.raises(InputError, match=r"unknown case 'aa' \(did you mean 'a'\?\); allowed: a, b, c"):
        regress.compared_cases(both, ["aa"], SIDES)


def test_what_needs_no_clock_is_compared_exactly():
    head = counted(parameters=8, operations={"MatMul": 4, "Softmax": 1})
    both = {"base": {"a": counted(), "b": counted()}, "head": {"a": head, "b": counted()}}
    assert regress.changed_counts(both, ["a", "b"]) == ["a: parameters 7 -> 8, MatMul 3 -> 4, Softmax 0 -> 1"]


def test_an_unknown_base_is_one_line(tree, monkeypatch, capsys):
    status, _, said = gate(monkeypatch, capsys, "mian")
    assert status == 2
    assert said.startswith("error: unknown BASE 'mian': it is no commit, branch or tag of ")
    assert len(said.splitlines()) == 1


def test_a_floor_above_what_the_gate_can_see_is_refused(tree, monkeypatch, capsys):
    status, _, said = gate(monkeypatch, capsys, "main", "--floor", "10")
    assert status == 2
    assert said == (
        "error: --floor 10 is not below 10%, which the gate must be able to see: every gate would be inconclusive\n"
    )


def test_without_git_or_a_repository_there_is_no_base(tree, monkeypatch, capsys):
    shutil.rmtree(tree / ".git")
    assert "is not a git repository" in gate(monkeypatch, capsys, "main")[2]
    monkeypatch.setenv("PATH", str(tree))
    status, _, said = gate(monkeypatch, capsys, "main")
    assert (status, said) == (2, "error: git is not installed: BASE cannot be checked out\n")


def test_a_worktree_in_the_way_is_left_alone(tree, monkeypatch, capsys):
    there = tree.parent / "there"
    git(tree, "worktree", "add", "-q", "--detach", str(there))
    (there / "mine.txt").write_text("unsaved work")
    status, _, said = gate(monkeypatch, capsys, "main", "--worktree", there)
    assert status == 2
    assert "is in the way: remove it" in said
    assert (there / "mine.txt").read_text() == "unsaved work"


def broken(tree):
    (tree / "models" / "attention.py").write_text("import nothing_of_that_name\n")


def without_cases(tree):
    (tree / "benchmarks" / "cases.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (broken, "cannot be measured: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (without_cases, "cannot be measured: "),
    ],
)
def test_a_base_that_cannot_be_imported_is_one_line(tree, monkeypatch, capsys, spoil, complaint):
    spoil(tree)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "spoiled")
    git(tree, "tag", "spoiled")
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    status, _, said = gate(monkeypatch, capsys, "spoiled")
    assert status == 2
    assert said.startswith("error: spoiled (")
    assert complaint in said
    assert len(said.splitlines()) == 1
    assert_nothing_left(tree)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_an_interrupted_gate_leaves_no_worktree(tree, signal_number):
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.regress", "main", "--out", str(tree.parent / "out")],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    waited_until = time.monotonic() + 60
    while not list(tree.parent.glob(f"{regress.PREFIX}*/base/models")):
        assert time.monotonic() < waited_until
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(running.pid, signal_number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if signal_number == signal.SIGINT else 143)
    assert said.strip() in ("", "interrupted: nothing was decided, and the worktree is removed")
    assert_nothing_left(tree)


def test_the_worktree_of_a_killed_gate_is_removed_by_the_next(tree, monkeypatch, capsys):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    orphan = tree.parent / f"{regress.PREFIX}{ended.stdout.strip()}-x"
    orphan.mkdir()
    git(tree, "worktree", "add", "-q", "--detach", str(orphan / "base"))
    regress._remove_orphans()
    assert_nothing_left(tree)


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"{}\n", "history.jsonl:1 is not what a gate writes"), (b"\xff\x00", "Invalid")]
)
def test_a_history_that_is_none_is_found_before_anything_is_measured(tree, monkeypatch, capsys, content, complaint):
    history = tree.parent / "history.jsonl"
    history.write_bytes(content)
    status, _, said = gate(monkeypatch, capsys, "main", "--record", history)
    assert status == 2
    assert complaint in said
    assert history.read_bytes() == content


def test_help_has_examples(monkeypatch, capsys):
    status, said, _ = gate(monkeypatch, capsys, "--help")
    assert status == 0
    assert "python -m benchmarks.regress main" in said
    assert json.dumps("inconclusive")[1:-1] in said
