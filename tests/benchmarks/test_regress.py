"""The timing gate on this project's own cases: what is slower is found, what cannot be compared is said."""

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
from benchmarks import gate_own, gate_pairs, regress, worktree
from benchmarks.gate_own import Counted, changed_counts, changed_dependencies, compared_cases
from benchmarks.inputs import InputError
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
    shutil.copy(ROOT / ".gitignore", tmp_path / "tree")  # else Python's caches would change the tree
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
    assert not list(tree.parent.glob(f"{worktree.PREFIX}*"))


@pytest.fixture
def refused(tree, monkeypatch, capsys):
    """Runs a gate that is wrong usage or input, which leaves nothing, and returns its one line."""

    def said(base, *arguments):
        out = () if "--out" in arguments else ("--out", tree.parent / "out")
        status, _, line = gate(monkeypatch, capsys, base, *out, *arguments)
        assert status == 2
        assert len(line.splitlines()) == 1
        if (tree / ".git").exists():
            assert_nothing_left(tree)
        return line

    return said


def test_a_slower_attention_is_found_and_the_other_one_left_alone(tree, monkeypatch, capsys):
    """External attention gets 64 more softmaxes, several times its step; eight processes of two cases, about a minute.

    How small a slowdown the gate finds is its study's question. Here the floor is above any noise, so that neither a
    case nor the same code held against itself can be flagged by chance.
    """
    call = "compute = self._folded if self.settings.folds(x.shape[-1]) else self._factored"
    more = "\n        for _ in range(64):\n            x = x + 1e-30 * ops.softmax(ops.exp(x))"
    edit(tree / "models" / "layers" / "external.py", call, call + more)
    monkeypatch.setattr(regress, "PULL_REQUEST", Design(looks=(4,), alphas=(0.05,), floor=0.5, detectable=9.0))
    out, history = tree.parent / "out", tree.parent / "history.jsonl"
    monkeypatch.setattr(gate_own, "TURNS", 3)
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
    assert len(found.pairs) == 4
    assert found.in_duets == (gate_pairs.two_cores() is not None)
    assert found.machine.versions.keys() == {"keras", "tensorflow", "numpy"}
    assert f"Slower: {EANET} by " in said
    (change,) = found.changes
    assert change.startswith(f"{EANET}: ")
    assert "Softmax 1 -> 65" in change
    assert gates.read_history(history) == (found,)
    markdown = (out / "gate.md").read_text()
    assert "### Slower" in markdown
    assert f"| `{EANET}` |" in markdown
    assert f"Slower: {EANET} by " in (out / "report.html").read_text()
    assert_nothing_left(tree)


SHAPE = {"scope": "core", "phase": "train", "patches": 256, "batch": 16, "precision": "float32"}


def counted(shape=SHAPE, **changes):
    counts = {"parameters": 7, "multiply-adds": 11_000, "MatMul": 3}
    return Counted(shape=shape, counts=counts | {name.replace("_", "-"): count for name, count in changes.items()})


@pytest.mark.parametrize(
    ("base", "head", "complaint"),
    [
        ({"a": counted(), "b": counted(parameters=5)}, {"a": counted()}, "the working tree has no case b"),
        ({"a": counted()}, {"a": counted(), "b": counted(parameters=5)}, r"main \(0123456\) has no case b"),
        ({"a": counted()}, {"b": counted()}, "the working tree calls case a b: renamed"),
        (
            {"a": counted()},
            {"a": counted(shape=SHAPE | {"batch": 8})},
            "the working tree has another case a: batch is 16 at BASE, 8 here",
        ),
    ],
    ids=["lost", "new", "renamed", "another shape"],
)
def test_a_case_that_cannot_be_compared_is_an_error(base, head, complaint):
    with pytest.raises(InputError, match=complaint):
        compared_cases({"base": base, "head": head}, [], SIDES)


def test_chosen_cases_are_compared_whatever_the_others_are():
    both = {"base": {"a": counted(), "b": counted()}, "head": {"a": counted(), "c": counted()}}
    assert compared_cases(both, ["a"], SIDES) == ["a"]
    with pytest.raises(InputError, match=r"unknown case 'aa' \(did you mean 'a'\?\); allowed: a, b, c"):
        compared_cases(both, ["aa"], SIDES)


def test_what_needs_no_clock_is_compared_exactly():
    head = counted(multiply_adds=12_000, MatMul=4, Softmax=1)
    both = {"base": {"a": counted(), "b": counted()}, "head": {"a": head, "b": counted()}}
    assert changed_counts(both, ["a", "b"]) == ["a: multiply-adds 11,000 -> 12,000, MatMul 3 -> 4, Softmax 0 -> 1"]


ITSELF = "error: BASE 'main' is the working tree itself: there is nothing to compare\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mian"], "error: unknown BASE 'mian': it is no commit, branch or tag of "),
        (["main"], ITSELF),
        (["main", "--setup", "true"], "error: --setup belongs to --command: this project's own cases need none\n"),
        (["main", "--floor", "3", "--floor=4"], "error: --floor is given 2 times: give it once\n"),
    ],
)
def test_what_is_no_gate_is_one_line_and_leaves_nothing(refused, arguments, complaint):
    assert refused(*arguments).startswith(complaint)


def test_without_git_or_a_repository_there_is_no_base(tree, refused, monkeypatch):
    shutil.rmtree(tree / ".git")
    complaint = f"error: BASE cannot be checked out from {tree}: "
    assert refused("main").startswith(f"{complaint}fatal: not a git repository")
    monkeypatch.setenv("PATH", str(tree))
    assert refused("main") == f"{complaint}git is not installed\n"


def test_a_repository_of_another_owner_is_refused_in_gits_words(tree, monkeypatch, capsys, refused):
    """The way out that git names is one."""
    settings = tree.parent / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.delenv("SUDO_UID", raising=False)
    if os.geteuid() == 0:
        for path in (tree, tree / ".git"):
            os.chown(path, 4321, -1)
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for those who cannot give files away
    status, _, said = gate(monkeypatch, capsys, "main", "--out", tree.parent / "out")
    assert status == 2
    assert f"detected dubious ownership in repository at '{tree}'" in said
    assert len(said.splitlines()) == 1
    subprocess.run(said[said.index("git config") :].split(), check=True)
    assert refused("main") == ITSELF


def test_a_gate_that_a_hook_of_another_repository_starts_is_of_its_own(tree, tmp_path):
    """git tells its hooks by variables which repository, and which index, they are of."""
    other, said = tmp_path / "other", tmp_path / "said"
    git(tmp_path, "init", "-q", "-b", "main", str(other))
    hook = other / ".git" / "hooks" / "post-commit"
    command = f"PYTHONPATH={tree} {sys.executable} -m benchmarks.regress main --out {tmp_path / 'out'} 2> {said}"
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path / 'variables'}\ncd {tree}\n{command}\n")
    hook.chmod(0o755)
    git(other, "--git-dir", str(other / ".git"), "--work-tree", str(other), "commit", "-qm", "one", "--allow-empty")
    assert "GIT_DIR=" in (tmp_path / "variables").read_text()
    names = {line.partition("=")[0] for line in (tmp_path / "variables").read_text().splitlines()}
    assert names >= {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    assert said.read_text() == ITSELF
    assert_nothing_left(tree)
    assert len(git(other, "worktree", "list").splitlines()) == 1


def test_what_is_in_the_way_of_a_worktree_is_left_alone(tree, monkeypatch, refused):
    """Also where the shell has not expanded its name."""
    monkeypatch.setenv("HOME", str(tree.parent))
    (tree.parent / "mine").mkdir()
    (tree.parent / "mine" / "notes.txt").write_text("unsaved work")
    for there in (tree.parent / "mine", "~/mine"):
        assert f"--worktree {there} is in the way: remove it" in refused("main", f"--worktree={there}")
        assert (tree.parent / "mine" / "notes.txt").read_text() == "unsaved work"


def test_other_dependencies_are_named(tmp_path):
    for side, asked in (("base", '["keras>=3.8", "numpy"]'), ("head", '["numpy", "keras>=4"]')):
        (tmp_path / side).mkdir()
        (tmp_path / side / "pyproject.toml").write_text(f"[project]\ndependencies = {asked}\n")
    (said,) = changed_dependencies(tmp_path / "base", tmp_path / "head")
    assert said.startswith("dependencies (keras>=3.8, keras>=4): both sides ran with what is installed here")
    assert changed_dependencies(tmp_path / "base", tmp_path / "base") == []


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("models/config.py", "import no_such_name", "ModuleNotFoundError: No module named 'no_such_name'"),
        ("models/__init__.py", "import os\nos._exit(0)", "it printed no JSON"),
        ("benchmarks/cases.py", None, "benchmarks.cases"),
    ],
    ids=["broken", "silent", "without cases"],
)
def test_a_base_that_cannot_be_imported_is_one_line(tree, refused, file, content, complaint):
    if content is None:
        (tree / file).unlink()
    else:
        (tree / file).write_text(f"{content}\n")
    git(tree, "commit", "-qam", "spoiled")
    git(tree, "tag", "spoiled")
    git(tree, "reset", "-q", "--hard", "HEAD~1")
    said = refused("spoiled")
    assert said.startswith("error: spoiled (")
    assert "cannot be measured: " in said
    assert complaint in said


@pytest.mark.parametrize(
    "signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "terminated", "terminal closed"]
)
def test_an_interrupted_gate_leaves_no_worktree(tree, signal_number):
    (tree / "edited.txt").write_text("")
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
    while not list(tree.parent.glob(f"{worktree.PREFIX}*/base/models")):
        assert time.monotonic() < waited_until
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(running.pid, signal_number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + signal_number
    assert said.strip() in ("", "interrupted: nothing was decided, and the worktree is removed")
    assert_nothing_left(tree)


def test_the_worktree_of_a_killed_gate_is_removed_by_the_next(tree, monkeypatch, capsys):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    orphan = tree.parent / f"{worktree.PREFIX}{ended.stdout.strip()}-x"
    orphan.mkdir()
    git(tree, "worktree", "add", "-q", "--detach", str(orphan / "base"))
    gate(monkeypatch, capsys, "main", "--out", tree.parent / "out")
    assert_nothing_left(tree)


@pytest.mark.parametrize(
    ("option", "place", "complaint"),
    [
        ("--out", "file/deeper", "file"),
        ("--record", "file/deeper", "file"),
        ("--record", "file", "file:1 is not what a gate writes"),
    ],
)
def test_what_cannot_be_written_is_found_first(tree, monkeypatch, refused, option, place, complaint):
    (tree.parent / "file").write_bytes(b"{\xff\x00\n")
    assert complaint in refused("main", option, tree.parent / place)
    assert (tree.parent / "file").read_bytes() == b"{\xff\x00\n"


def test_help_has_examples(monkeypatch, capsys):
    status, said, _ = gate(monkeypatch, capsys, "--help")
    assert status == 0
    assert "python -m benchmarks.regress main" in said
    assert "inconclusive" in said
