"""Studies -> sentences: which differences in accuracy are significant, which are not, and what the models cost."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from report import conditions, words
from report.accuracy import LARGEST_P, Comparison, State, Study, Training, epochs, full_name
from report.answer import Answer
from report.conditions import proper
from results.stats import FEWEST_PROCESSES


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
IN_SHORT: dict[State, str] = {
    "significant": "significant",
    "alone": "significant only before correction",
    "none": "not significant",
    "few": "too few seeds for a test",
    "chance": "both at chance",
}


def which_parts(studies: Sequence[Study]) -> Answer:
    """The ablations together: how many of their distinct differences are significant, and the largest of them."""
    distinct = {c.hypothesis: (study, c) for study in studies for c in study.compared if not c.of_pair}
    tested = [(study, c) for study, c in distinct.values() if c.p_value is not None]
    found = [(study, c) for study, c in tested if c.is_significant]
    of = f"{len(found)} of {len(tested)} differences in {len(studies)} suites, after {_lengths(distinct.values())}, "
    of += "is significant" if len(found) == 1 else "are significant"
    of += f" (paired t-test, p <= {LARGEST_P} after Holm's adjustment for all {len(tested)})"
    largest = sorted(found, key=lambda pair: -abs(pair[1].difference.estimate))[:MOST_NAMED]
    named = "; ".join(f"{against(c)} {_paired(study, c)} ({study.title.lower()})" for study, c in largest)
    which = "" if not found else f": {named}" if len(found) == len(largest) else f", the largest of them: {named}"
    said: tuple[tuple[State, str], ...] = (
        ("alone", "significant only before correction"),
        ("none", "not significant"),
        ("chance", "between trainings that are both at chance"),
        ("few", "had too few seeds for a test"),
    )
    counts = {state: sum(c.state == state for _, c in distinct.values()) for state, _ in said}
    others = "".join(f"; {counts[state]} {told}" for state, told in said if counts[state])
    return Answer("Which parts matter", f"{of}{which}{others}.", "ablations")


def _lengths(compared: Iterable[tuple[Study, Comparison]]) -> str:
    """How long the compared trainings took: "12 epochs", "12 to 20 epochs"."""
    lengths = {side.epochs for _, c in compared for side in (c.ours, c.base)}
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    return f"{shortest} to {longest} epochs" if shortest < longest else words.number_of(longest, "epoch", "epochs")


def against(comparison: Comparison) -> str:
    """What is compared with what."""
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
    """Comparisons that one sentence tells: what is compared with a variant, each with the `names` of what differs."""

    comparisons: tuple[Comparison, ...]
    names: tuple[str, ...]

    @property
    def base(self) -> Training | None:
        """The training that all are compared with, where it is one."""
        first = self.comparisons[0].base
        return first if all(comparison.base is first for comparison in self.comparisons) else None

    def of(self, state: State) -> list[tuple[Comparison, str]]:
        """Those of which as much may be said, with their names."""
        return [pair for pair in zip(self.comparisons, self.names, strict=True) if pair[0].state == state]


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
    """What the comparisons compare their sides with."""
    first = group.comparisons[0].base
    if group.base is None:
        return f"compared with {proper(first)} with the same settings, by {study.metric.test_title}"
    seeds = set.intersection(*(comparison.seeds for comparison in group.comparisons)) or None
    mean = words.value(study.metric, first.mean(study.metric, seeds))
    return f"compared with {full_name(first)} ({mean} {study.metric.test_title}{_at_chance(first)})"


def _at_chance(training: Training) -> str:
    return f", {training.at_chance}" if training.at_chance else ""


def _in_full(study: Study, group: _Group) -> str:
    """What differs, what does not significantly, and what has too few seeds for a test."""
    return _told(study, group, len(group.comparisons))


def _in_short(study: Study, group: _Group) -> str:
    """As in full, but of many that are not significant only the largest is told."""
    return _told(study, group, MOST_NAMED)


def _told(study: Study, group: _Group, most: int) -> str:
    told = [f"{name} is {_verdict(study, comparison)}" for comparison, name in group.of("significant")]
    families = sorted({comparison.family for comparison, _ in group.of("alone")})
    said: tuple[tuple[State, str], ...] = (
        ("alone", f"significant only before correction for {' or '.join(map(str, families))} comparisons:"),
        ("none", "not significant:"),
        ("chance", "both at chance, no better than guessing:"),
        ("few", "too few seeds for a test:"),
    )
    for state, words_of_state in said:
        found = sorted(group.of(state), key=lambda pair: -abs(pair[0].difference.estimate))
        if len(found) > most:
            (comparison, name), *others = found
            told.append(f"{words_of_state} {name} ({_apart(study, comparison)}) and {len(others)} that differ less")
        elif found:
            named = [f"{name} ({_apart(study, c)})" for c, name in group.of(state)]
            told.append(f"{words_of_state} {', '.join(named)}")
    return "; ".join(told)


def _alone(study: Study) -> Iterator[str]:
    """What is compared with nothing."""
    compared = {id(training) for c in (*study.variants, *study.effects) for training in (c.ours, c.base)}
    for training in study.trainings:
        if id(training) not in compared:
            mean = words.value(study.metric, training.mean(study.metric))
            yield (
                f"{_place_of(training)}, the {study.metric.test_title} of {full_name(training)} is {mean} "
                f"(n = {len(training.records)}{_at_chance(training)}); there is nothing here to compare it with"
            )


def _verdict(study: Study, comparison: Comparison) -> str:
    """How a significant difference is told: "more accurate (98.4 %, +0.9 pp, n = 5 pairs of seeds)"."""
    mean = words.value(study.metric, comparison.ours.mean(study.metric, comparison.seeds))
    said = study.metric.more if comparison.difference.estimate > 0 else study.metric.less
    return f"significantly {said} ({mean}, {_apart(study, comparison)})"


def _apart(study: Study, comparison: Comparison) -> str:
    """The difference, and whether what is told of is at chance."""
    return f"{_paired(study, comparison)}{_at_chance(comparison.ours)}"


def _place_of(training: Training) -> str:
    return f"on {training.dataset} ({training.records[0].test_images:,} test images, {epochs(training)})"


def _paired(study: Study, comparison: Comparison) -> str:
    n = comparison.difference.n
    return f"{words.difference(study.metric, comparison.difference)}, n = {n} {'pair' if n == 1 else 'pairs'} of seeds"


def cost_sentences(study: Study, timed_elsewhere: bool = False) -> Iterator[str]:
    """What a variant costs compared with the base: once for each pair of models.

    Training steps that are not compared are told together; `timed_elsewhere` is whether the page has step times too.
    """
    pairs: dict[object, Comparison] = {}
    for comparison in study.variants:
        sides = (comparison.ours, comparison.base)
        pairs.setdefault(tuple((side.label, side.records[0].multiply_adds) for side in sides), comparison)
    for comparison in pairs.values():
        ours, base = comparison.ours.records[0], comparison.base.records[0]
        within = f" with {' and '.join(comparison.ours.settings)}" if len(pairs) > 1 and comparison.ours.cell else ""
        yield (
            f"At {ours.patches} patches{within} {proper(comparison.ours)} has "
            f"{ours.parameters / base.parameters:.2f} times the parameters of {proper(comparison.base)} and "
            f"{ours.multiply_adds / base.multiply_adds:.2f} times its multiply-adds{_step(comparison)}."
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
    if len(conditions.machines(machine for side in sides for machine in side.machines)) > 1:
        return "they were trained on different machines"
    if not all(side.seconds_by_process for side in sides):
        return "a training had no step to measure"
    if any(record.environment.process is None for side in sides for record in side.records):
        return "their records do not name their processes"
    fewest = min(len(side.seconds_by_process) for side in sides)
    return f"they come from {words.processes(fewest)} each, fewer than {FEWEST_PROCESSES}"
