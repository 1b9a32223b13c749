"""Identifies the code that measures, and finds finished trials that other code has measured."""

import re
import sys
from collections import Counter
from pathlib import Path

from benchmarks.environment import Origin
from benchmarks.plan import Plan
from benchmarks.worktree import GitError, git
from results import places, store
from results.printable import printable

ROOT = Path(__file__).parent.parent
MEASURES = ("models", "benchmarks")
"""What of the repository can change a result."""


def origin() -> Origin:
    """Describes this command and its commit; warns in git's words where git does not answer."""
    command = places.command("benchmarks.run", sys.argv[1:], ROOT)
    try:
        return Origin(command, commit=git(ROOT, "rev-parse", "HEAD"), dirty=bool(git(ROOT, "status", "--porcelain")))
    except GitError as error:
        print(f"warning: the records will not name the commit: {printable(str(error))}", file=sys.stderr)
        return Origin(command, commit=None, dirty=None)


def by_other_code(run: store.Run, plan: Plan, here: Origin) -> str:
    """Counts the finished trials of the plan that other code has measured, in words; "" if there are none."""
    planned = {trial.trial_id for trial in plan.trials}
    environments = [record.environment for record in run.results if record.trial_id in planned]
    measured = Counter((environment.commit, environment.dirty) for environment in environments)
    ours = (here.commit, here.dirty)
    others = {code: count for code, count in measured.items() if code[1] or (code != ours and differs(code[0]))}
    if not others:
        return ""
    named = ", ".join(f"{count} by {code_words(*code)}" for code, count in others.items())
    return f"done already by other code: {named}, where this is {code_words(*ours)}; --fresh runs them again"


def differs(commit: str | None) -> bool:
    """Whether the measuring code differs from the commit's, or may: a record may hold any text for a commit."""
    try:
        return not _is_commit(commit) or bool(git(ROOT, "diff", "--name-only", str(commit), "--", *MEASURES))
    except GitError:
        return True


def code_words(commit: str | None, dirty: bool | None) -> str:
    """Names the code for people."""
    named = f"commit {commit[:7]}" if commit and _is_commit(commit) else "an unknown commit"
    return named + (" with uncommitted changes" if dirty else "")


def _is_commit(text: str | None) -> bool:
    return bool(re.fullmatch("[0-9a-f]{40}", text or ""))
