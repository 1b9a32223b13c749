"""What a trial is told of the place where it runs: threads and the commit."""

import os
import subprocess
import sys

import pytest

from benchmarks import cgroups
from benchmarks.environment import default_threads
from benchmarks.processor import available_threads
from benchmarks.worktree import GitError, git

ALLOWED = available_threads()


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
    code += "from benchmarks.processor import available_threads; print(available_threads())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def test_settings_that_ci_gives_by_variables_reach_git(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": str(tmp_path)}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert git(tmp_path, "config", "safe.directory") == str(tmp_path)


def test_an_error_is_in_gits_own_words_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError, match=r"^fatal: not a git repository.*$"):
        git(tmp_path, "status")
