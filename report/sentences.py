"""Findings -> English: how a cost grows, why something was not tested or not compared, and what a run lacks."""

from collections.abc import Iterable

from report import groups, words
from report.accuracy import Study
from report.groups import Stopped
from report.growth import Curve, Verdict
from report.tested import LARGEST_P, PRICE_OF_A_LOOK, Comparison, Tested
from results import growth as growths
from results.growth import Growth
from results.stats import FEWEST_PROCESSES
from results.store import Run

SCOPES = {"core": "attention layer", "model": "whole model"}
PHASES = {"train": "training step", "infer": "inference"}
MOST_FILES = 3


def not_compared(stopped: Iterable[Stopped]) -> list[str]:
    """Which variants are not compared with which, and why: alike ones once."""
    return list(dict.fromkeys(f"{one.ours.name} {_stopped(one)}." for one in stopped))


def _stopped(one: Stopped) -> str:
    """With what something is not compared, and the conditions that stop it, with both values."""
    conditions = [
        f"{name} is {words.setting(ours)} and not {words.setting(base)}"
        for name, (ours, base) in one.conditions.items()
    ]
    why = f"its {' and '.join(conditions)}" if conditions else f"they have too few {one.unit} in common"
    return f"is not compared with {one.base.name}: {why}"


def why_no_step(comparisons: Iterable[Comparison]) -> str:
    """Why training steps are not compared, as a sentence; nothing where one of them is."""
    comparisons = list(comparisons)
    if not comparisons or any(comparison.step_p_value is not None for comparison in comparisons):
        return ""
    sides = [side for comparison in comparisons for side in (comparison.ours, comparison.base)]
    if len(groups.machines(machine for side in sides for machine in side.machines)) > 1:
        reason = "the trainings are of different machines or numbers of threads"
    elif not all(side.seconds_by_process for side in sides):
        reason = "a training had no step to measure"
    elif any(record.environment.process is None for side in sides for record in side.records):
        reason = "the records do not name their processes"
    else:
        fewest = min(len(side.seconds_by_process) for side in sides)
        reason = f"they come from {words.processes(fewest)} each, and a test needs {FEWEST_PROCESSES}"
    return f"Training steps are not compared here: {reason}."


def how_tested(study: Study) -> str:
    """Returns how a suite's differences were tested, what their intervals are over, and what is detectable; nothing
    where too few seeds were trained."""
    tested = [one for one in study.tested if one.p_value is not None]
    if not tested:
        return ""
    adjusted = f", Holm-adjusted for {study.family} comparisons" if study.family > 1 else ""
    over = {_over(one) for one in tested}
    looks = max(one.looks for one in tested)
    price = (
        f" Seeds were added after a look at the page: p is multiplied by up to {PRICE_OF_A_LOOK ** (looks - 1)}, and "
        f"all looks together have at most {2 * LARGEST_P:.0%} false alarms."
    ).replace("%", " %")
    return (
        f"Differences: paired t-test by seed{adjusted}, {words.joined(sorted(over))}. "
        f"Detectable: the smallest difference that would have been found with 80 % power.{price if looks > 1 else ''}"
    )


def _over(tested: Tested) -> str:
    if tested.of.trial.test_folds:
        return "over seeds that each draw their test images (Nadeau and Bengio's correction)"
    if tested.difference is tested.over_seeds:
        return "over seeds alone, on the same test images"
    return "over seeds and test images"


def is_claimable(growth: Growth | None) -> bool:
    """Whether anything is claimed of a growth: enough sizes, and enough processes at each."""
    return growth is not None and growth.quadratic_share.low is not None


def unclaimed(curve: Curve) -> str:
    """Why a curve's growth was not tested."""
    sizes, n = len(curve.points), min(point.step_seconds.n for point in curve.points)
    if sizes < growths.FEWEST_SIZES:
        return f"{words.number_of(sizes, 'size')} measured, and a fit needs {growths.FEWEST_SIZES}"
    if n < FEWEST_PROCESSES:
        return f"{words.processes(n)} per size, and an interval needs {FEWEST_PROCESSES}"
    return "some process reported no peak"


def remark(verdict: Verdict) -> str:
    """What a reader of a verdict about growth has to know besides; mostly nothing."""
    if verdict.growth is None or not is_claimable(verdict.growth):
        return unclaimed(verdict.curve)
    remarks = []
    share = verdict.growth.quadratic_share
    if verdict.claim and (share.low or 0) < growths.MATERIAL_SHARE <= (share.high or 0):
        remarks.append("the interval of the quadratic part includes a quarter")
    if verdict.claim and verdict.growth.n_log_n_excluded < growths.EXCLUDED[verdict.claim]:
        remarks.append("N log N is not excluded")
    if verdict.what != "time" and not verdict.fused:
        remarks.append("no fused kernel ran: this backend has none here")
    return "; ".join(remarks)


def incomplete(run: Run) -> list[str]:
    """A clause for each kind of thing that a run could not give; none where every planned trial has a result."""
    missing = {trial for trials in run.missing.values() for trial in trials}
    skipped = [failure for failure in run.failures if failure.status == "skipped"]
    suites, files = _of(run.missing), _of(run.broken)
    counts = (
        (len(missing), f"planned trial has not run{suites}", f"planned trials have not run{suites}"),
        (len(run.failures) - len(skipped), "trial has failed", "trials have failed"),
        (len(skipped), "trial did not fit into memory", "trials did not fit into memory"),
        (len(run.broken), f"file cannot be read{files}", f"files cannot be read{files}"),
    )
    parts = [words.number_of(*count) for count in counts if count[0]]
    return parts if run.plan or not parts else ["what was planned is not known", *parts]


def _of(names: Iterable[str]) -> str:
    """The first names, in parentheses."""
    first = list(names)
    more = ["…"] if len(first) > MOST_FILES else []
    return f" ({', '.join([*first[:MOST_FILES], *more])})"
