"""What a run could not give: said at the top of its page, and where it is held against another."""

from report import words
from results.store import Run

MOST_NAMED = 3


def incomplete(run: Run) -> list[str]:
    """A clause for each kind of thing that is missing; none where every planned trial has a result."""
    missing = {trial for trials in run.missing.values() for trial in trials}
    skipped = [failure for failure in run.failures if failure.status == "skipped"]
    suites, files = _of(run.missing), _of(run.broken)
    counts = (
        (len(missing), f"planned trial has not run{suites}", f"planned trials have not run{suites}"),
        (len(run.failures) - len(skipped), "trial has failed", "trials have failed"),
        (len(skipped), "trial did not fit into memory", "trials did not fit into memory"),
        (len(run.broken), f"file cannot be read{files}", f"files cannot be read{files}"),
    )
    told = [words.number_of(*count) for count in counts if count[0]]
    return told if run.plan or not told else ["what was planned is not known", *told]


def _of(names: dict[str, str] | dict[str, list[str]]) -> str:
    """The first names, in parentheses."""
    more = ["…"] if len(names) > MOST_NAMED else []
    return f" ({', '.join([*list(names)[:MOST_NAMED], *more])})"
