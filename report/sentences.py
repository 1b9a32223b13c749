"""Findings -> English: which differences are significant, which are not, what models cost and how that grows."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from report import groups, words
from report.accuracy import LARGEST_P, Comparison, State, Study
from report.groups import PUBLISHED, Stopped, Training
from report.growth import Crossover, Curve, Verdict
from results import growth as growths
from results.growth import Claim, Growth
from results.stats import FEWEST_PROCESSES
from results.store import Run


@dataclass(frozen=True)
class Answer:
    """What the page says first: one sentence, what it is about, and the id of the section where its evidence stands."""

    about: str
    sentence: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.about}: {self.sentence}"


MOST_NAMED = 4
"""So many differences an answer names; of more it names the largest."""
IN_SHORT: dict[State, str] = {
    "significant": "significant",
    "alone": "significant only before correction",
    "none": "not significant",
    "chance": "both at chance",
    "few": "too few seeds for a test",
}
OF_MANY: dict[State, str] = IN_SHORT | {
    "chance": "between trainings that are both at chance",
    "few": "had too few seeds for a test",
}
BEFORE_NAMES: dict[State, str] = IN_SHORT | {
    "alone": "significant only before correction for {families} comparisons",
    "chance": "both at chance, no better than guessing",
}
"""What is said of a difference: alone, behind a number of them, and before the names of several."""


def answer(study: Study) -> Answer:
    """What the suite has shown, in short."""
    told: list[str] = []
    last = ""
    for group in _told_together(study):
        where = _where(group[0].base)
        said = f"{_told(study, group, MOST_NAMED)}, {_against(study, group)}"
        told.append(said if where == last else f"{said} {where}")
        last = where
    told = told or list(_alone(study))
    return Answer(f"{study.title}{study.so_far}", f"{'; '.join(told)}.", f"suite-{study.suite}")


def which_parts(studies: Sequence[Study]) -> Answer:
    """The ablations together: how many of their distinct differences are significant, and the largest of them."""
    distinct = {c.hypothesis: (study, c) for study in studies for c in study.compared if not c.of_pair}
    tested = [(study, c) for study, c in distinct.values() if c.p_value is not None]
    found = [(study, c) for study, c in tested if c.is_significant]
    of = f"{len(found)} of {len(tested)} differences in {len(studies)} suites, after {_lengths(distinct.values())}, "
    of += "is significant" if len(found) == 1 else "are significant"
    of += f" (paired t-test, p <= {LARGEST_P} after Holm's adjustment for all {len(tested)})"
    largest = sorted(found, key=lambda pair: -abs(pair[1].difference.estimate))[:MOST_NAMED]
    named = "; ".join(f"{against(c)} {_paired(c)} ({study.title.lower()})" for study, c in largest)
    which = "" if not found else f": {named}" if len(found) == len(largest) else f", the largest of them: {named}"
    counts = Counter(c.state for _, c in distinct.values() if not c.is_significant)
    others = "".join(f"; {counts[state]} {said}" for state, said in OF_MANY.items() if counts[state])
    return Answer("Which parts matter", f"{of}{which}{others}.", "ablations")


def _lengths(compared: Iterable[tuple[Study, Comparison]]) -> str:
    """How long the compared trainings took: "12 epochs", "12 to 20 epochs"."""
    shortest, *_, longest = sorted(side.epochs for _, c in compared for side in (c.ours, c.base)) or (0, 0)
    return f"{shortest} to {longest} epochs" if shortest < longest else words.number_of(longest, "epoch")


def against(comparison: Comparison) -> str:
    """What is compared with what."""
    ours, base = comparison.ours, comparison.base
    return f"{ours.full_name} − {', '.join(base.settings) if ours.label == base.label else base.name}"


def of_study(study: Study) -> Iterator[str]:
    """The grid's cells against its base, a variant each; the variants against the base variant; then what is compared
    with neither, and why."""
    for group in _told_together(study):
        said = f"{_where(group[0].base)}, {_against(study, group)}: {_told(study, group, len(group))}."
        yield words.sentence(said)
    yield from (words.sentence(f"{told}.") for told in _alone(study))
    alone = {training.key for training in _compared_with_nothing(study)}
    yield from not_compared(one for one in study.stopped if one.ours.key not in alone)


def _told_together(study: Study) -> Iterator[list[Comparison]]:
    """Comparisons that one sentence tells: those with one variant."""
    for comparisons in (study.effects, study.variants):
        by_base: dict[str, list[Comparison]] = defaultdict(list)
        for comparison in comparisons:
            by_base[comparison.base.label].append(comparison)
        yield from by_base.values()


def _name(comparison: Comparison) -> str:
    """What sets an effect's cell apart from the base; of a variant its name, and its cell of the grid if it has one."""
    ours = comparison.ours
    if ours.variant == comparison.base.variant:
        base = dict(comparison.base.grid)
        return " and ".join(f"{setting} {value}" for setting, value in ours.grid if value != base.get(setting))
    return f"{ours.name} with {' and '.join(ours.settings)}" if ours.grid else ours.name


def _against(study: Study, group: Sequence[Comparison]) -> str:
    """What the comparisons compare their sides with."""
    first = group[0].base
    if any(comparison.base is not first for comparison in group):
        return f"compared with {first.name} with the same settings, by {study.metric.test_title}"
    seeds = set.intersection(*(comparison.seeds for comparison in group)) or None
    return f"compared with {first.full_name} ({study.mean(first, seeds)} {study.metric.test_title}{_at_chance(first)})"


def _at_chance(training: Training) -> str:
    return f", {training.at_chance}" if training.at_chance else ""


def _told(study: Study, group: Sequence[Comparison], most: int) -> str:
    """What differs, what does not significantly, and what has too few seeds for a test; of more than `most` that are
    not significant only the largest is told."""
    told = [f"{_name(c)} is {_verdict(c)}" for c in group if c.is_significant]
    for state, said in BEFORE_NAMES.items():
        found = [c for c in group if c.state == state and not c.is_significant]
        families = " or ".join(map(str, sorted({c.family for c in found})))
        largest = max(found, key=lambda c: abs(c.difference.estimate), default=None)
        named = ", ".join(f"{_name(c)} ({_apart(c)})" for c in found)
        if largest and len(found) > most:
            named = f"{_name(largest)} ({_apart(largest)}) and {len(found) - 1} that differ less"
        told += [f"{said.format(families=families)}: {named}"] if found else []
    return "; ".join(told)


def _compared_with_nothing(study: Study) -> list[Training]:
    compared = {side.key for c in study.compared for side in (c.ours, c.base)}
    return [training for training in study.trainings if training.key not in compared]


def _alone(study: Study) -> Iterator[str]:
    """What is compared with nothing, and why; of what others are not compared with, these tell."""
    reasons = {one.ours.key: f"; it {_stopped(one)}" for one in study.stopped}
    reasons |= {one.base.key: "" for one in study.stopped}
    for training in _compared_with_nothing(study):
        yield (
            f"{_where(training)}, the {study.metric.test_title} of {training.full_name} is {study.mean(training)} "
            f"(n = {len(training.records)}{_at_chance(training)})"
            + reasons.get(training.key, "; there is nothing here to compare it with")
        )


def not_compared(stopped: Iterable[Stopped]) -> Iterator[str]:
    """Which variants are not compared with which, and why: alike ones once."""
    yield from dict.fromkeys(f"{one.ours.name} {_stopped(one)}." for one in stopped)


def _stopped(one: Stopped) -> str:
    """With what something is not compared, and the conditions that stop it, with both values."""
    conditions = [
        f"{name} is {words.setting(ours)} and not {words.setting(base)}"
        for name, (ours, base) in one.conditions.items()
    ]
    why = f"its {' and '.join(conditions)}" if conditions else f"they have too few {one.unit} in common"
    return f"is not compared with {one.base.name}, for {why}"


def _verdict(comparison: Comparison) -> str:
    """How a significant difference is told: "more accurate (98.4 %, +0.9 pp, n = 5 pairs of seeds)"."""
    mean = words.value(comparison.metric, comparison.ours.mean(comparison.metric, comparison.seeds))
    said = comparison.metric.more if comparison.difference.estimate > 0 else comparison.metric.less
    return f"significantly {said} ({mean}, {_apart(comparison)})"


def _apart(comparison: Comparison) -> str:
    """The difference, and whether what is told of is at chance."""
    return f"{_paired(comparison)}{_at_chance(comparison.ours)}"


def _where(training: Training) -> str:
    epochs = words.number_of(training.epochs, "epoch")
    return f"on {training.trial.dataset} ({training.first.test_images:,} test images, {epochs})"


def _paired(comparison: Comparison) -> str:
    pairs = words.number_of(comparison.difference.n, "pair")
    return f"{words.difference(comparison.metric, comparison.difference)}, n = {pairs} of seeds"


def costs(study: Study, timed_elsewhere: bool = False) -> Iterator[str]:
    """What a variant costs compared with the base: once for each pair of models.

    Training steps that are not compared are told together; `timed_elsewhere` is whether the page has step times too.
    """
    pairs: dict[object, Comparison] = {}
    for comparison in study.variants:
        sides = (comparison.ours, comparison.base)
        pairs.setdefault(tuple((side.label, side.first.multiply_adds) for side in sides), comparison)
    for comparison in pairs.values():
        ours, base = comparison.ours, comparison.base
        within = f" with {' and '.join(ours.settings)}" if len(pairs) > 1 and ours.grid else ""
        yield (
            f"At {ours.first.patches} patches{within} {ours.name} has "
            f"{ours.first.parameters / base.first.parameters:.2f} times the parameters of {base.name} and "
            f"{ours.first.multiply_adds / base.first.multiply_adds:.2f} times its multiply-adds{_step(comparison)}."
        )
    reasons = list(dict.fromkeys(filter(None, map(_why_no_step, pairs.values()))))
    if reasons:
        elsewhere = "; step times of fresh processes are under Cost and growth" if timed_elsewhere else ""
        yield f"Training steps are not compared here: {' or '.join(reasons)}{elsewhere}."


def _step(comparison: Comparison) -> str:
    """The training step's ratio as the end of a sentence, where it was tested."""
    ratio, p_value = comparison.step_ratio, comparison.step_p_value
    if ratio is None or p_value is None:
        return ""
    significant = "" if p_value <= LARGEST_P else "not "
    of = f"n = {ratio.n} processes, {significant}significant, Holm-adjusted {words.p_value(p_value)}"
    return f"; its training step takes {words.plain(ratio)} times as long ({of})"


def _why_no_step(comparison: Comparison) -> str:
    """Why the training steps are not compared; nothing where they are."""
    if comparison.step_p_value is not None:
        return ""
    sides = (comparison.ours, comparison.base)
    if len(groups.machines(machine for side in sides for machine in side.machines)) > 1:
        return "they were trained on different machines"
    if not all(side.seconds_by_process for side in sides):
        return "a training had no step to measure"
    if any(record.environment.process is None for side in sides for record in side.records):
        return "their records do not name their processes"
    fewest = min(len(side.seconds_by_process) for side in sides)
    return f"they come from {words.processes(fewest)} each, fewer than {FEWEST_PROCESSES}"


SCOPES = {"core": "The attention alone", "model": "The whole model"}
PHASES = {"train": "one training step", "infer": "one inference"}
GROWS: dict[Claim, str] = {"linear": "no faster than linearly in N", "quadratic": "as N²"}


def of_growth(curves: Sequence[Curve], crossovers: Sequence[Crossover]) -> Iterator[Answer]:
    """How the training step grows in each scope and from where on external attention pays; then memory.

    Of time the tutorial's two variants are told, where they are there; the page's tables hold all.
    """
    for scope, what in SCOPES.items():
        chosen = [curve for curve in curves if (curve.scope, curve.phase) == (scope, "train")]
        told = [curve for curve in chosen if curve.variant in PUBLISHED] or chosen
        if not told:
            continue
        laws = [
            f"{curve.name}'s is {_classified(curve.growth)} (log-log slope {words.plain(curve.growth.exponent)})"
            for curve in told
            if curve.growth and _claimable(curve.growth)
        ]
        growth = f"{' and '.join(laws)}{_processes(told)}" if laws else _unclaimed(told[0])
        payoffs = [_payoff(c) for c in crossovers if c.ours in told and c.base in told]
        about = f"{what}, time of a training step by number of patches N"
        yield Answer(about, f"{'; '.join([growth, *payoffs])}.", "growth")
    remembered = [c for c in curves if (c.scope, c.phase) == ("core", "train") and _claimable(c.memory)]
    if remembered:
        parts = ", ".join(f"{curve.name}'s is {_remembered(curve)}" for curve in remembered)
        about = f"{SCOPES['core']}, peak memory of a training step by number of patches N"
        yield Answer(about, f"{parts}{_processes(remembered)}.", "memory")


def _processes(curves: Iterable[Curve]) -> str:
    sizes = {point.step_seconds.n for curve in curves for point in curve.points}
    return f", n = {'at least ' if len(sizes) > 1 else ''}{min(sizes)} processes a size"


def _claimable(growth: Growth | None) -> bool:
    """Whether anything is claimed of a growth: enough sizes, and enough processes at each."""
    return growth is not None and growth.quadratic_share.low is not None


def _unclaimed(curve: Curve) -> str:
    """Why a curve's growth was not tested."""
    sizes, n = len(curve.points), min(point.step_seconds.n for point in curve.points)
    if sizes < growths.FEWEST_SIZES:
        measured = f"{sizes} {'size was' if sizes == 1 else 'sizes were'} measured"
        return f"its growth was not tested, for {measured} and a fit needs {growths.FEWEST_SIZES}"
    if n < FEWEST_PROCESSES:
        return f"its growth was not tested, for n = {n} and an interval needs {FEWEST_PROCESSES} processes a size"
    return "its growth was not tested, for some process told no peak"


def claim(verdict: Verdict) -> str:
    """What is said to grow how."""
    curve = verdict.curve
    what = f"{SCOPES[curve.scope]}, {PHASES[curve.phase]}: the {verdict.what} of {curve.name}"
    return f"{what} grows {GROWS[verdict.claim]}"


def measured(verdict: Verdict) -> str:
    """The model's name, the log-log slope and the quadratic part: a slope alone understates a mixed law."""
    curve, growth = verdict.curve, verdict.growth
    remark = "" if verdict.what == "time" or verdict.fused else "; no fused kernel ran: this backend has none here"
    if growth is None or not _claimable(growth):
        return f"{_unclaimed(curve)}{remark}"
    largest = curve.sizes[-1]
    rival = "" if growth.n_log_n_excluded >= growths.EXCLUDED[verdict.claim] else "; N log N is not excluded"
    share = words.with_interval(growth.quadratic_share, lambda part: words.whole(part * 100), " %")
    part = f"{share} of the fitted {verdict.what} at {largest:,} is quadratic"
    if growth.quadratic_share.high == 0:
        part = f"it grows more slowly than a line: no part of the {verdict.what} at {largest:,} is quadratic"
    slope = (
        f"log-log slope {words.plain(growth.exponent)} from N = {growths.upper_half(curve.sizes)[0]:,} to {largest:,}"
    )
    law = f"{_classified(growth)} in the number of patches N ({slope}; {part}{rival})"
    return f"{law}{_processes([curve])}{remark}"


def _classified(growth: Growth) -> str:
    return f"classified as {growth.law.name}"


def _remembered(curve: Curve) -> str:
    """The model of a curve's memory, and what it comes to at the largest size."""
    last = curve.points[-1]
    assert curve.memory is not None
    assert last.memory_bytes is not None
    peak = words.with_interval(last.memory_bytes, words.mebibytes, " MiB")
    slope = words.plain(curve.memory.exponent)
    at = f"{peak} at N = {last.patches:,}, batch {last.first.batch}"
    return f"{_classified(curve.memory)} (log-log slope {slope}; {at})"


def _payoff(crossover: Crossover) -> str:
    """Where the step of external attention is the faster one, and by how much at the largest size."""
    ours, base, patches = crossover.ours.name, crossover.base.name, crossover.patches
    crossing = words.crossing(patches, crossover.smallest, crossover.largest)
    if math.isinf(patches.estimate):
        return f"{ours}'s is not the faster one at N = {crossover.largest:,}; the crossing lies {crossing}"
    since = f"above {crossing} patches"
    if patches.estimate == 0:
        since = f"at every measured size, from {crossover.smallest:,} patches"
        if patches.high:
            sure = "none" if math.isinf(patches.high) else f"those above {patches.high:,.0f} patches"
            since = f"at every size as measured, beyond chance at {sure}"
    return (
        f"{ours}'s is faster {since}; at N = {crossover.largest:,} {base}'s takes "
        f"{words.times(crossover.ratio)} times as long"
    )


MOST_FILES = 3


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
    told = [words.number_of(*count) for count in counts if count[0]]
    return told if run.plan or not told else ["what was planned is not known", *told]


def _of(names: Iterable[str]) -> str:
    """The first names, in parentheses."""
    first = list(names)
    more = ["…"] if len(first) > MOST_FILES else []
    return f" ({', '.join([*first[:MOST_FILES], *more])})"
