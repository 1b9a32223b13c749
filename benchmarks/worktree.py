"""Asks git about a tree, and checks a commit out into a worktree, which is removed again whatever happens."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.inputs import InputError

PREFIX = "eanet-gate-"
ENDED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class GitError(InputError):
    """git did not answer; the message is its own, in one line."""


def without_hooks(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables without those that name a repository to git's hooks, such as GIT_DIR.

    Settings given by variables stay, as they do where git itself enters another repository: CI names its safe
    directories so. Raises `GitError` where git is not installed.
    """
    try:
        asked = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True)
    except OSError:
        raise GitError("git is not installed") from None
    left_out = set(asked.stdout.split()) - {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    return {name: value for name, value in variables.items() if name not in left_out}


def git(tree: Path, *arguments: str) -> str:
    """Returns git's answer about a tree, whatever repository the hook that started this process belongs to.

    Raises `GitError`.
    """
    command = ["git", "-C", str(tree), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=without_hooks(os.environ))
    if done.returncode:
        raise GitError(" ".join(done.stderr.split()) or f"git {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout.strip()


class State(NamedTuple):
    """A tree as git sees it."""

    commit: str
    status: str
    diff: str

    @property
    def code(self) -> tuple[str, str]:
        """What is versioned of it: a program may write further files."""
        return self.commit, self.diff


def state(tree: Path) -> State:
    """Returns a tree as git sees it. Raises `GitError`."""
    return State(git(tree, "rev-parse", "HEAD"), git(tree, "status", "--porcelain"), git(tree, "diff", "HEAD"))


def top(folder: Path) -> Path:
    """Returns the top of the working tree that a folder belongs to. Raises `InputError` where there is none."""
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel"))
    except GitError as error:
        raise InputError(f"{folder} is in no working tree of git: {error}") from None


@contextmanager
def checked_out(base: str, root: Path, at: Path | None) -> Iterator[tuple[Path, str]]:
    """Checks BASE of the repository at `root` out, in a temporary folder or `at` another; yields that and its commit.

    Raises `InputError`.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except GitError as error:
        raise InputError(f"BASE cannot be checked out from {root}: {error}") from None
    try:
        commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    except GitError:
        raise InputError(
            f"unknown BASE {base!r}: it is no commit, branch or tag of {root}{_if_shallow(root)}"
        ) from None
    _remove_orphans(root)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as above:
        tree = Path(above, "base") if at is None else at.expanduser().resolve()
        try:
            tree.mkdir(parents=True)  # fails where it exists: only what we made is ever removed
        except FileExistsError:
            what = f"--worktree {at} is in the way: remove it (git worktree remove {at}) or name another"
            raise InputError(what) from None
        try:
            try:
                git(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
            except GitError as error:
                raise InputError(f"BASE cannot be checked out: {error}") from None
            yield tree, commit
        finally:
            held = {number: signal.signal(number, signal.SIG_IGN) for number in ENDED_BY}  # none stops the removal
            _remove(root, tree)
            for number, handler in held.items():
                signal.signal(number, handler)


def _if_shallow(root: Path) -> str:
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        return ", a shallow clone: fetch its history with git fetch --unshallow (actions/checkout: fetch-depth: 0)"
    return "; is it fetched?"


def _remove(root: Path, tree: Path) -> None:
    with suppress(GitError):
        git(root, "worktree", "remove", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)
    with suppress(GitError):
        git(root, "worktree", "prune")


def _remove_orphans(root: Path) -> None:
    """Removes the worktrees of gates that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            _remove(root, folder / "base")
            shutil.rmtree(folder, ignore_errors=True)
