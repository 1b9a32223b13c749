"""What a trial is told of the place where it runs: threads and the commit."""

import os
import subprocess
import sys

import pytest

from benchmarks import cgroups
from benchmarks.environment import available_threads, default_threads
from benchmarks.worktree import GitError, git

ALLOWED = available_threads()


@pytest.fixture
def repositories(tmp_path):
    """Two repositories with a commit each, and their commits."""
    found = []
    for name in ("ours", "theirs"):
        tree = tmp_path / name
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        for command in (("init", "-q"), (*identity, "commit", "-q", "--allow-empty", "-m", name)):
            subprocess.run(["git", *command], cwd=tree if tree.exists() else tree.mkdir() or tree, check=True)
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True)
        found.append((tree, asked.stdout.strip()))
    return found


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.0, 1), (1.5, min(2, ALLOWED)), (1e9, ALLOWED)])
def test_a_quota_is_rounded_up_to_whole_threads_and_is_no_more_than_there_are(monkeypatch, quota, threads):
    monkeypatch.setattr(cgroups, "cpu_quota", lambda: quota)
    assert available_threads() == threads


@pytest.mark.parametrize(
    ("asked", "threads"),
    [("1", 1), ("1,2", 1), ("100000", ALLOWED), ("0", ALLOWED), ("-1", ALLOWED), ("four", ALLOWED), ("", ALLOWED)],
)
def test_omp_num_threads_lowers_the_number_of_threads_and_does_not_raise_it(monkeypatch, asked, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert default_threads() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert default_threads() == ALLOWED


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or ALLOWED < 2, reason="needs two processors to choose from")
def test_a_process_that_is_kept_to_one_processor_has_one_thread():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from benchmarks.environment import available_threads; print(available_threads())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def test_a_hooks_variables_name_no_other_repository(repositories, monkeypatch):
    (ours, commit), (theirs, other) = repositories
    monkeypatch.setenv("GIT_DIR", str(theirs / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(theirs))
    monkeypatch.setenv("GIT_INDEX_FILE", str(theirs / ".git" / "index"))
    monkeypatch.setenv("GIT_PREFIX", "deeper/")
    asked = subprocess.run(["git", "-C", str(ours), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert asked.stdout.strip() == other, "what git says to who does not remove them"
    assert git(ours, "rev-parse", "HEAD") == commit
    assert git(ours, "status", "--porcelain") == ""


def test_settings_that_ci_gives_by_variables_reach_git(repositories, monkeypatch):
    (ours, _), _ = repositories
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": str(ours)}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert git(ours, "config", "safe.directory") == str(ours)


def test_an_error_is_in_gits_own_words_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError, match=r"^fatal: not a git repository.*$"):
        git(tmp_path, "status")
