"""Studies -> sentences: what is more accurate than what, what is not shown to be, and what it costs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from report import words
from report.accuracy import FEWEST_SEEDS, Comparison, Study, Training, epochs, full_name
from report.answer import Answer
from report.conditions import proper


def answer(study: Study) -> Answer:
    """What the suite has shown, in short."""
    told: list[str] = []
    last = ""
    for group in _groups(study):
        place = _place_of(group.comparisons[0].base)
        told.append(f"{_in_short(study, group)}, {_against(study, group)}{'' if place == last else f' {place}'}")
        last = place
    told = told or list(_alone(study))
    return Answer(f"{study.title}{study.so_far}", f"{'; '.join(told)}.", f"suite-{study.suite}")


MOST_NAMED = 4
"""So many differences an answer names; of more it names the largest."""


def which_parts(studies: Sequence[Study]) -> Answer:
    """The ablations together: how many differences are claimed, the largest of them, and how many are not."""
    compared = [(study, comparison) for study in studies for comparison in study.compared]
    tested = [(study, c) for study, c in compared if c.p_value is not None]
    found = [(study, c) for study, c in tested if c.shown]
    of = f"{len(found)} of {len(tested)} differences held against a base in {len(studies)} suites "
    of += "is claimed" if len(found) == 1 else "are claimed"
    largest = sorted(found, key=lambda pair: -abs(pair[1].difference.estimate))[:MOST_NAMED]
    named = "; ".join(f"{against(c)} {_paired(study, c)} ({study.title.lower()})" for study, c in largest)
    which = "" if not found else f": {named}" if len(found) == len(largest) else f", the largest of them: {named}"
    said = (
        ("alone", "have an interval without 0 on their own, but are not claimed among all of their suite"),
        ("none", "show no difference"),
        ("few", "had too few seeds to tell"),
    )
    counts = {state: sum(_state(c) == state for _, c in compared) for state, _ in said}
    others = "".join(f"; {counts[state]} {told}" for state, told in said if counts[state])
    return Answer("Which parts matter", f"{of}{which}{others}.", "ablations")


def against(comparison: Comparison) -> str:
    """What is held against what."""
    ours, base = comparison.ours, comparison.base
    if ours.label == base.label:
        return f"{full_name(ours)} − {', '.join(base.settings)}"
    return f"{full_name(ours)} − {proper(base)}"


def sentences(study: Study) -> Iterator[str]:
    """The grid's cells against its base, a variant each; then the variants against the base variant."""
    for group in _groups(study):
        place = _place_of(group.comparisons[0].base)
        yield words.sentence(f"{place}, {_against(study, group)}: {_in_full(study, group)}.")
    yield from (words.sentence(f"{told}.") for told in _alone(study))


@dataclass(frozen=True)
class _Group:
    """Comparisons that one sentence tells: what is held against a variant, each with the `names` of what differs."""

    comparisons: tuple[Comparison, ...]
    names: tuple[str, ...]

    @property
    def base(self) -> Training | None:
        """The training that all are held against, where it is one."""
        first = self.comparisons[0].base
        return first if all(comparison.base is first for comparison in self.comparisons) else None

    def of(self, state: str) -> list[tuple[Comparison, str]]:
        """Those of which as much may be said, with their names."""
        return [pair for pair in zip(self.comparisons, self.names, strict=True) if _state(pair[0]) == state]


def _groups(study: Study) -> Iterator[_Group]:
    for comparisons, name in ((study.effects, _changes), (study.variants, _rival)):
        by_base: dict[str, list[Comparison]] = defaultdict(list)
        for comparison in comparisons:
            by_base[comparison.base.label].append(comparison)
        for found in by_base.values():
            yield _Group(tuple(found), tuple(map(name, found)))


def _changes(effect: Comparison) -> str:
    """What sets an effect's cell apart from the base."""
    base = dict(effect.base.cell)
    return " and ".join(f"{setting} {value}" for setting, value in effect.ours.cell if value != base.get(setting))


def _rival(comparison: Comparison) -> str:
    """The variant, and its cell of the grid where it has one."""
    ours = comparison.ours
    return f"{proper(ours)} with {' and '.join(ours.settings)}" if ours.cell else proper(ours)


def _against(study: Study, group: _Group) -> str:
    """What the comparisons hold their sides against."""
    first = group.comparisons[0].base
    if group.base is None:
        return f"held against {proper(first)} with the same settings, by {study.metric.name}"
    seeds = set.intersection(*(comparison.seeds for comparison in group.comparisons)) or None
    mean = study.metric.value(first.mean(study.metric.figure, seeds))
    return f"held against {full_name(first)} ({mean} {study.metric.name})"


def _in_full(study: Study, group: _Group) -> str:
    """What differs, what is not shown to, and what has too few seeds to tell."""
    return _told(study, group, len(group.comparisons))


def _in_short(study: Study, group: _Group) -> str:
    """As in full, but of many that are not claimed only the largest is told."""
    return _told(study, group, MOST_NAMED)


def _told(study: Study, group: _Group, most: int) -> str:
    told = [f"{name} is {_verdict(study, comparison)}" for comparison, name in group.of("shown")]
    for state, said in (
        ("alone", f"shown alone, but not among the {study.family} differences of this suite, for"),
        ("none", "no difference shown for"),
        ("few", "too few seeds to claim a difference for"),
    ):
        found = sorted(group.of(state), key=lambda pair: -abs(pair[0].difference.estimate))
        if len(found) > most:
            (comparison, name), *others = found
            told.append(f"{said} {name} ({_paired(study, comparison)}) and {len(others)} others that differ less")
        elif found:
            named = [f"{name} ({_paired(study, c)})" for c, name in group.of(state)]
            told.append(f"{said} {', '.join(named)}")
    return "; ".join(told)


def _alone(study: Study) -> Iterator[str]:
    """What is compared with nothing."""
    compared = {id(training) for c in (*study.variants, *study.effects) for training in (c.ours, c.base)}
    for training in study.trainings:
        if id(training) not in compared:
            mean = study.metric.value(training.mean(study.metric.figure))
            yield (
                f"{_place_of(training)}, the {study.metric.name} of {full_name(training)} is {mean} "
                f"(n = {len(training.records)}); there is nothing here to compare it with"
            )


def _state(comparison: Comparison) -> Literal["shown", "alone", "none", "few"]:
    """What may be said of a difference; "alone" is one that Holm's adjustment takes the claim from."""
    low, high = comparison.difference.low, comparison.difference.high
    if comparison.p_value is None or low is None or high is None:
        return "few"
    if comparison.shown:
        return "shown"
    return "alone" if low > 0 or high < 0 else "none"


def _verdict(study: Study, comparison: Comparison) -> str:
    mean = study.metric.value(comparison.ours.mean(study.metric.figure, comparison.seeds))
    said = study.metric.more if comparison.difference.estimate > 0 else study.metric.less
    return f"{said} ({mean}, {_paired(study, comparison)})"


def _place_of(training: Training) -> str:
    return f"on {training.dataset} ({training.records[0].test_images:,} test images, {epochs(training)})"


def _paired(study: Study, comparison: Comparison) -> str:
    n = comparison.difference.n
    return f"{study.metric.difference(comparison.difference)}, n = {n} {'pair' if n == 1 else 'pairs'} of seeds"


def cost_sentences(study: Study) -> Iterator[str]:
    """What a variant costs against the base: once for each pair of models."""
    pairs: dict[object, Comparison] = {}
    for comparison in study.variants:
        sides = (comparison.ours, comparison.base)
        pairs.setdefault(tuple((side.label, side.records[0].multiply_adds) for side in sides), comparison)
    for comparison in pairs.values():
        ours, base = comparison.ours.records[0], comparison.base.records[0]
        ratio = comparison.step_ratio
        step = f"takes {words.plain(ratio)} times as long (n = {ratio.n})"
        if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
            step = f"takes {words.plain(ratio)} times as long: no difference shown (n = {ratio.n})"
        if ratio.n < FEWEST_SEEDS:
            step = f"took {words.plain(ratio)} times as long, in too few runs (n = {ratio.n}) to claim it"
        within = f" with {' and '.join(comparison.ours.settings)}" if len(pairs) > 1 and comparison.ours.cell else ""
        yield (
            f"At {ours.patches} patches{within} {proper(comparison.ours)} has "
            f"{ours.parameters / base.parameters:.2f} times the parameters of {proper(comparison.base)} and "
            f"{ours.multiply_adds / base.multiply_adds:.2f} times its multiply-adds; its training step {step}."
        )
