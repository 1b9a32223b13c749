"""Records -> findings: groups of comparable trials, the comparisons between them, and the answers in sentences."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from report import words
from results import stats
from results.records import Environment, StepTimeRecord, TrainRecord
from results.stats import Growth, Interval
from results.store import Run

FEWEST_SEEDS = 3
"""Below this many pairs of seeds a difference is drawn and nothing is claimed."""
BASE = "vit"

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Training:
    """Trainings that differ in their seed alone. `label` is the variant and what sets it apart from its namesakes."""

    suite: str
    variant: str
    label: str
    dataset: str
    conditions: Settings
    records: tuple[TrainRecord, ...]

    def mean(self, figure: str, seeds: set[int] | None = None) -> Interval:
        """Mean of a figure of the records over the seeds, or over those of them that are given."""
        chosen = [record for record in self.records if seeds is None or record.seed in seeds]
        return stats.mean_interval([getattr(record, figure) for record in chosen])

    @property
    def step_seconds(self) -> Interval:
        """Training step over the seeds' processes."""
        return _over_processes([record.train_step_seconds for record in self.records])

    def by_seed(self, figure: str) -> dict[int, float]:
        return {record.seed: getattr(record, figure) for record in self.records}


@dataclass(frozen=True)
class Comparison:
    """One training against the base, under the same conditions and paired by seed.

    `top1` is the difference ours - base, `step_ratio` is ours / base.
    """

    ours: Training
    base: Training
    top1: Interval
    step_ratio: Interval


@dataclass(frozen=True)
class StepTime:
    """One case of step time over its processes: the geometric mean of the processes' medians.

    The interval is Student's t on the logarithms, from three processes on.
    """

    suite: str
    scope: str
    phase: str
    variant: str
    label: str
    patches: int
    batch: int
    multiply_adds: int
    peak_memory_bytes: int
    step_seconds: Interval


@dataclass(frozen=True)
class Curve:
    """Step time against patches for one scope, phase and variant, with the law fitted to it."""

    scope: str
    phase: str
    variant: str
    label: str
    points: tuple[StepTime, ...]
    growth: Growth | None


@dataclass(frozen=True)
class Answer:
    """One sentence of the answer and where its evidence stands on the page."""

    sentence: str
    evidence: str


@dataclass(frozen=True)
class Findings:
    """Everything that the page says, before it is said."""

    trainings: tuple[Training, ...]
    comparisons: tuple[Comparison, ...]
    curves: tuple[Curve, ...]
    answers: tuple[Answer, ...]


def find(run: Run) -> Findings:
    """The findings of a run. Only like is averaged with like: same settings, data, backend, precision and machine."""
    trainings = _trainings(run.trainings)
    comparisons = _comparisons(trainings)
    curves = _curves(run.step_times)
    answers = (*_accuracy_answers(trainings, comparisons), *_cost_answers(comparisons), *_growth_answers(curves))
    return Findings(trainings, comparisons, curves, tuple(answers))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level of dotted names: `model.attention.heads` -> `attention.heads`."""
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, "" if name in ("model", "training") else f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _machine(environment: Environment) -> dict[str, str]:
    """What two step times must share to be compared."""
    return {"device": environment.device, "cpu": environment.cpu, "threads": str(environment.threads)}


def _key(values: Mapping[str, str]) -> Settings:
    return tuple(sorted(values.items()))


def _labels(keys: Iterable[tuple[str, Settings]]) -> dict[tuple[str, Settings], str]:
    """(variant, conditions) -> label: the variant's name, and the conditions in which its groups differ."""
    by_variant: dict[str, list[Settings]] = defaultdict(list)
    for variant, conditions in keys:
        by_variant[variant].append(conditions)
    labels = {}
    for variant, groups in by_variant.items():
        differing = {
            name for group in groups for name, value in group if any((name, value) not in other for other in groups)
        }
        for group in groups:
            extra = ", ".join(f"{name}={value}" for name, value in group if name in differing)
            labels[variant, group] = variant + (f" ({extra})" if extra else "")
    return labels


def _trainings(records: Iterable[TrainRecord]) -> tuple[Training, ...]:
    not_conditions = {"suite", "variant", "seed", "kind", "data_dir"}
    groups: dict[tuple[str, str, Settings], list[TrainRecord]] = defaultdict(list)
    for record in records:
        settings = {k: v for k, v in _flat(record.settings).items() if k not in not_conditions}
        data = {"dataset_sha256": record.dataset_sha256[:12]}
        groups[record.suite, record.variant, _key(settings | data | _machine(record.environment))].append(record)
    labels = {suite: _labels((v, c) for s, v, c in groups if s == suite) for suite, _, _ in groups}
    return tuple(
        Training(
            suite,
            variant,
            labels[suite][variant, conditions],
            found[0].dataset,
            conditions,
            tuple(sorted(found, key=lambda record: record.seed)),
        )
        for (suite, variant, conditions), found in sorted(groups.items())
    )


def _comparisons(trainings: tuple[Training, ...]) -> tuple[Comparison, ...]:
    """Every variant against the base where all but the attention is the same."""
    return tuple(
        comparison
        for ours in trainings
        for base in trainings
        if ours.variant != BASE and base.variant == BASE and _alike(ours, base)
        if (comparison := _compare(ours, base))
    )


def _alike(ours: Training, base: Training) -> bool:
    """Whether two trainings share every condition that both have, their kind of attention apart.

    A dropout or a number of heads that both attentions have is such a condition too.
    """
    theirs = dict(base.conditions)
    shared = {name: value for name, value in ours.conditions if name in theirs and name != "attention.kind"}
    return ours.suite == base.suite and all(theirs[name] == value for name, value in shared.items())


def _compare(ours: Training, base: Training) -> Comparison | None:
    top1 = stats.paired_difference(ours.by_seed("test_top1"), base.by_seed("test_top1"))
    step = stats.paired_difference(_log_step_seconds(ours), _log_step_seconds(base))
    if top1 is None or step is None:
        return None
    return Comparison(ours, base, top1, _exp(step))


def _log_step_seconds(training: Training) -> dict[int, float]:
    return {seed: math.log(seconds) for seed, seconds in training.by_seed("train_step_seconds").items()}


def _exp(interval: Interval) -> Interval:
    low, high = interval.low, interval.high
    return Interval(
        math.exp(interval.estimate),
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
        interval.n,
    )


def _curves(records: Iterable[StepTimeRecord]) -> tuple[Curve, ...]:
    groups: dict[tuple[str, str, str, str, Settings], dict[int, list[StepTimeRecord]]] = defaultdict(
        lambda: defaultdict(list)
    )
    not_conditions = {"suite", "variant", "kind", "process", "patches", "image_size", "phase", "scope"}
    for record in records:
        settings = {k: v for k, v in _flat(record.settings).items() if k not in not_conditions}
        key = (record.suite, record.scope, record.phase, record.variant, _key(settings | _machine(record.environment)))
        groups[key][record.patches].append(record)
    labels = {
        (suite, scope, phase): _labels((v, c) for s, sc, p, v, c in groups if (s, sc, p) == (suite, scope, phase))
        for suite, scope, phase, _, _ in groups
    }
    curves = []
    for (suite, scope, phase, variant, conditions), sizes in sorted(groups.items()):
        label = labels[suite, scope, phase][variant, conditions]
        points = tuple(
            StepTime(
                suite,
                scope,
                phase,
                variant,
                label,
                patches,
                found[0].batch,
                found[0].multiply_adds,
                max(record.peak_memory_bytes for record in found),
                _over_processes([float(np.median(record.samples_seconds)) for record in found]),
            )
            for patches, found in sorted(sizes.items())
        )
        growth = stats.fit_growth([p.patches for p in points], [p.step_seconds.estimate for p in points])
        curves.append(Curve(scope, phase, variant, label, points, growth))
    return tuple(curves)


def _over_processes(medians: list[float]) -> Interval:
    """The processes' geometric mean, since step times vary by factors, with an interval from three processes on."""
    mean = _exp(stats.mean_interval([math.log(value) for value in medians]))
    return mean if len(medians) >= FEWEST_SEEDS else Interval(mean.estimate, None, None, len(medians))


def _accuracy_answers(trainings: Iterable[Training], comparisons: Iterable[Comparison]) -> Iterable[Answer]:
    compared: set[tuple[str, str]] = set()
    for comparison in comparisons:
        ours, base, n = comparison.ours, comparison.base, comparison.top1.n
        compared |= {(t.suite, t.label) for t in (ours, base)}
        both = {r.seed for r in ours.records} & {r.seed for r in base.records}
        means = " and ".join(f"{name(t)} {words.percent(t.mean('test_top1', both))}" for t in (ours, base))
        yield Answer(
            f"On {ours.dataset} ({ours.records[0].test_images:,} test images) the test top-1 is {means}: "
            f"{_verdict(comparison)} ({words.points(comparison.top1)}, "
            f"n = {n} {'pair' if n == 1 else 'pairs'} of seeds).",
            "accuracy",
        )
    for training in trainings:
        if (training.suite, training.label) not in compared:
            yield Answer(
                f"On {training.dataset} the test top-1 of {name(training)} is "
                f"{words.percent(training.mean('test_top1'))} "
                f"(n = {len(training.records)}); there is nothing here to compare it with.",
                "accuracy",
            )


def name(group: Training | Curve | StepTime) -> str:
    """The group's label with the variant's proper name."""
    return group.label.replace(group.variant, words.variant_name(group.variant), 1)


def _verdict(comparison: Comparison) -> str:
    ours, base, difference = name(comparison.ours), name(comparison.base), comparison.top1
    if difference.n < FEWEST_SEEDS:
        return "too few seeds to claim a difference"
    if not difference.excludes_zero:
        return "no difference shown"
    return f"{ours} is {'more' if difference.estimate > 0 else 'less'} accurate than {base} on these images"


def _cost_answers(comparisons: Iterable[Comparison]) -> Iterable[Answer]:
    for comparison in comparisons:
        ours, base = comparison.ours.records[0], comparison.base.records[0]
        ratio = comparison.step_ratio
        step = f"takes {words.plain(ratio)} times as long (n = {ratio.n})"
        if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
            step = f"takes {words.plain(ratio)} times as long: no difference shown (n = {ratio.n})"
        if ratio.n < FEWEST_SEEDS:
            step = f"took {words.plain(ratio)} times as long, in too few runs (n = {ratio.n}) to claim it"
        yield Answer(
            f"At {ours.patches} patches {name(comparison.ours)} has {ours.parameters / base.parameters:.2f} times the "
            f"parameters of {name(comparison.base)} and {ours.multiply_adds / base.multiply_adds:.2f} times its "
            f"multiply-adds; its training step {step}.",
            "accuracy",
        )


def _growth_answers(curves: Iterable[Curve]) -> Iterable[Answer]:
    for scope, what in (("core", "The attention alone"), ("model", "The whole model")):
        chosen = [curve for curve in curves if curve.scope == scope and curve.phase == "train"]
        parts = [part for curve in chosen if (part := _growth_words(curve))]
        if parts:
            yield Answer(
                f"{what}, one training step: the time grows for {' and for '.join(parts)}; "
                f"1 is linear, 2 quadratic, {_processes(chosen)}.{_crossover(chosen)}",
                "growth",
            )


def _processes(curves: list[Curve]) -> str:
    """On how many processes a case the sentence rests."""
    fewest = min(point.step_seconds.n for curve in curves for point in curve.points)
    return f"n = {fewest} {'process' if fewest == 1 else 'processes'} a case"


def _growth_words(curve: Curve) -> str | None:
    """Exponent over the upper half of the sizes, and the quadratic part: a slope alone understates a mixed law."""
    if curve.growth is None or curve.growth.exponent is None:
        return None
    sizes = [point.patches for point in curve.points]
    largest = sizes[-1]
    return (
        f"{name(curve)} as N^{words.plain(curve.growth.exponent)} from N = "
        f"{min(size for size in sizes if size >= np.median(sizes)):,} to {largest:,} "
        f"(quadratic part of the fit at {largest:,}: {curve.growth.quadratic_share(largest):.0%})"
    )


def _crossover(curves: list[Curve]) -> str:
    """From which measured size on EANet's step is the shorter one, and by how much at the largest."""
    by_variant: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        by_variant[curve.variant].append(curve)
    if set(by_variant) != {"eanet", BASE} or any(len(found) > 1 for found in by_variant.values()):
        return ""
    ours, base = ({p.patches: p.step_seconds.estimate for p in by_variant[v][0].points} for v in ("eanet", BASE))
    ratios = {patches: base[patches] / ours[patches] for patches in sorted(ours.keys() & base.keys())}
    if not ratios:
        return ""
    slower = [patches for patches, ratio in ratios.items() if ratio <= 1]
    largest = max(ratios)
    if slower and max(slower) == largest:
        return f" At N = {largest:,} EANet's step still takes {1 / ratios[largest]:.1f} times ViT's."
    first = min(patches for patches in ratios if not slower or patches > max(slower))
    since = "at every measured size" if not slower else f"from N = {first:,} on"
    return (
        f" EANet's step is the shorter one {since}; at N = {largest:,} ViT's takes {ratios[largest]:.1f} times as long."
    )
