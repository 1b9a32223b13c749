"""Records -> findings: groups of comparable trials, the comparisons between them, and the answers in sentences."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from report import words
from results import stats
from results.records import Environment, StepTimeRecord, TrainRecord
from results.stats import Growth, Interval, Law
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
    """One case of step time over its processes.

    The intervals are Student's t on the logarithms around the processes' geometric mean, from three processes on.
    `resident_bytes` is the peak over the process's baseline, `allocated_bytes` the peak of the backend's own allocator
    where it tells, `activation_bytes` the closed form; `seconds_by_process` are the processes' medians.
    """

    suite: str
    scope: str
    phase: str
    variant: str
    label: str
    patches: int
    batch: int
    multiply_adds: int
    activation_bytes: int
    step_seconds: Interval
    resident_bytes: Interval | None
    allocated_bytes: Interval | None
    seconds_by_process: tuple[float, ...]
    bytes_by_process: tuple[int, ...]

    @property
    def memory_bytes(self) -> Interval | None:
        """What the allocator told, which is exact, or else the resident size."""
        return self.allocated_bytes or self.resident_bytes


@dataclass(frozen=True)
class Curve:
    """Step time and memory against patches for one scope, phase and variant, with the laws fitted to them.

    `growth` and `memory` are None where there are too few sizes, `multiply_adds` (exact, of one image) too.
    """

    suite: str
    scope: str
    phase: str
    variant: str
    label: str
    conditions: Settings
    points: tuple[StepTime, ...]
    growth: Growth | None
    memory: Growth | None
    multiply_adds: Law | None

    @property
    def sizes(self) -> list[int]:
        return [point.patches for point in self.points]

    @property
    def processes(self) -> int:
        """How many processes the size with the fewest has."""
        return min(point.step_seconds.n for point in self.points)


@dataclass(frozen=True)
class Crossover:
    """From how many patches on the step of `ours` is shorter than that of `base`; see `stats.crossover`."""

    ours: Curve
    base: Curve
    patches: Interval
    smallest: int
    largest: int
    """The smallest and the largest size that both have."""
    ratio: float
    """Base's step over ours at the largest."""


@dataclass(frozen=True)
class Verdict:
    """A claim about growth, what the measurement says of it, and the numbers it says so by."""

    claim: str
    verdict: str
    numbers: str


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
    crossovers: tuple[Crossover, ...]
    verdicts: tuple[Verdict, ...]
    answers: tuple[Answer, ...]


def find(run: Run) -> Findings:
    """The findings of a run. Only like is averaged with like: same settings, data, backend, precision and machine."""
    trainings = _trainings(run.trainings)
    comparisons = _comparisons(trainings)
    curves = _curves(run.step_times)
    crossovers = _crossovers(curves)
    answers = (
        *_accuracy_answers(trainings, comparisons),
        *_cost_answers(comparisons),
        *_growth_answers(curves, crossovers),
    )
    return Findings(trainings, comparisons, curves, crossovers, tuple(_verdicts(curves)), tuple(answers))


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


def _alike(ours: Training | Curve, base: Training | Curve) -> bool:
    """Whether two trainings or curves share every condition that both have, their kind of attention apart.

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
        points = tuple(_point(label, found) for _, found in sorted(sizes.items()))
        curves.append(
            Curve(
                suite,
                scope,
                phase,
                variant,
                label,
                conditions,
                points,
                stats.fit_growth({point.patches: point.seconds_by_process for point in points}),
                _memory_growth(points),
                _multiply_adds(points),
            )
        )
    return tuple(curves)


def _point(label: str, records: list[StepTimeRecord]) -> StepTime:
    """One case, from the records of its processes."""
    first = records[0]
    resident = [record.peak_memory_bytes for record in records]
    allocated = [r.device_peak_memory_bytes for r in records if r.device_peak_memory_bytes is not None]
    told = len(allocated) == len(records)
    medians = [float(np.median(record.samples_seconds)) for record in records]
    return StepTime(
        first.suite,
        first.scope,
        first.phase,
        first.variant,
        label,
        first.patches,
        first.batch,
        first.multiply_adds,
        first.activation_bytes,
        _over_processes(medians),
        _over_processes(resident) if min(resident) > 0 else None,
        _over_processes(allocated) if told else None,
        tuple(medians),
        tuple(allocated if told else resident),
    )


def _memory_growth(points: tuple[StepTime, ...]) -> Growth | None:
    if any(min(point.bytes_by_process) <= 0 for point in points):
        return None
    return stats.fit_growth({point.patches: point.bytes_by_process for point in points})


def _multiply_adds(points: tuple[StepTime, ...]) -> Law | None:
    """Their exact law, or None with too few sizes and for records that follow none."""
    try:
        return stats.exact_growth({point.patches: point.multiply_adds for point in points})
    except ValueError:
        return None


def _over_processes(values: Sequence[float]) -> Interval:
    """The processes' geometric mean, since their values vary by factors, with an interval from three on."""
    mean = _exp(stats.mean_interval([math.log(value) for value in values]))
    return mean if len(values) >= FEWEST_SEEDS else Interval(mean.estimate, None, None, len(values))


def _crossovers(curves: tuple[Curve, ...]) -> tuple[Crossover, ...]:
    """External attention against every self-attention measured under the same conditions."""
    found = []
    for ours in curves:
        for base in curves:
            if (ours.scope, ours.phase) != (base.scope, base.phase) or not _rivals(ours, base):
                continue
            ours_seconds, base_seconds = (
                {point.patches: point.seconds_by_process for point in curve.points} for curve in (ours, base)
            )
            patches = stats.crossover(ours_seconds, base_seconds)
            if patches is not None:
                shared = ours_seconds.keys() & base_seconds.keys()
                smallest, largest = min(shared), max(shared)
                ratio = float(np.median(base_seconds[largest]) / np.median(ours_seconds[largest]))
                found.append(Crossover(ours, base, patches, smallest, largest, ratio))
    return tuple(found)


def _rivals(ours: Curve, base: Curve) -> bool:
    kinds = (_kind(ours), _kind(base))
    return kinds[0] == "external" and kinds[1] in ("self", "fused_self") and _alike(ours, base)


def _kind(curve: Curve) -> str:
    """The kind of the curve's attention, "" where its settings do not say."""
    return dict(curve.conditions).get("attention.kind", "")


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


PUBLISHED = ("eanet", BASE)
SCOPES = {"core": "The attention alone", "model": "The whole model"}
PHASES = {"train": "one training step", "infer": "one inference"}


def _growth_answers(curves: tuple[Curve, ...], crossovers: tuple[Crossover, ...]) -> Iterable[Answer]:
    """How the training step grows in each scope and from where on external attention pays; then memory.

    Of time the tutorial's two variants are told, where they are there; the page's tables hold all.
    """
    for scope, what in SCOPES.items():
        chosen = [curve for curve in curves if (curve.scope, curve.phase) == (scope, "train")]
        told = [curve for curve in chosen if curve.variant in PUBLISHED] or chosen
        if not told:
            continue
        laws = [f"{name(curve)}'s {_measured(curve, curve.growth)}" for curve in told if _claimable(curve.growth)]
        n = min(curve.processes for curve in told)
        growth = f"{', and '.join(laws)}; n = {n} processes a size" if laws else _unclaimed(told[0])
        payoffs = [_payoff(c) for c in crossovers if c.ours in told and c.base in told]
        yield Answer(f"{what}, time of one training step: {'. '.join([growth, *payoffs])}.", "growth")
    remembered = [c for c in curves if (c.scope, c.phase) == ("core", "train") and _claimable(c.memory)]
    if remembered:
        parts = [f"{name(curve)}'s is {_remembered(curve)}" for curve in remembered]
        yield Answer(f"The attention alone, peak memory of one training step: {', '.join(parts)}.", "memory")


def _claimable(growth: Growth | None) -> bool:
    """Whether anything is claimed of a growth: enough sizes, and enough processes at each."""
    return growth is not None and growth.quadratic_share.low is not None


def _unclaimed(curve: Curve) -> str:
    """Why nothing is claimed of a curve's growth."""
    sizes, n = len(curve.points), curve.processes
    if sizes < stats.FEWEST_SIZES:
        measured = f"{sizes} {'size was' if sizes == 1 else 'sizes were'} measured"
        return f"no law of growth is claimed, for {measured} and a fit needs {stats.FEWEST_SIZES}"
    if n < stats.FEWEST_PROCESSES:
        return (
            f"no law of growth is claimed, for n = {n} and an interval needs {stats.FEWEST_PROCESSES} processes a size"
        )
    return "no law of growth is claimed, for some process told no peak"


def _measured(curve: Curve, growth: Growth | None) -> str:
    """The law's name, and its exponent and quadratic share: a slope alone understates a mixed law."""
    if growth is None or not _claimable(growth):
        return _unclaimed(curve)
    largest = curve.sizes[-1]
    return (
        f"is {growth.law.name} in the number of patches N (exponent {words.plain(growth.exponent)} from N = "
        f"{stats.upper_half(curve.sizes)[0]:,} to {largest:,}, "
        f"cN² share at {largest:,} {words.share(growth.quadratic_share)})"
    )


def _remembered(curve: Curve) -> str:
    """The law of a curve's memory, and what it comes to at the largest size."""
    last = curve.points[-1]
    assert curve.memory is not None
    assert last.memory_bytes is not None
    peak = words.mebibytes(last.memory_bytes.estimate)
    return f"{curve.memory.law.name} ({peak} MiB at N = {last.patches:,}, batch {last.batch})"


def _payoff(crossover: Crossover) -> str:
    """From where on the step of external attention is the shorter one, and by how much at the largest size."""
    ours, base, patches = name(crossover.ours), name(crossover.base), crossover.patches
    crossing = words.crossing(patches, crossover.smallest, crossover.largest)
    if math.isinf(patches.estimate):
        return f"{ours}'s is not the shorter one at N = {crossover.largest:,}; the crossing lies {crossing}"
    since = f"from N = {crossing} on"
    if patches.estimate == 0 and not patches.high:
        since = f"at every measured size, from N = {crossover.smallest:,} on"
    return (
        f"{ours}'s is the shorter one {since}; at N = {crossover.largest:,} {base}'s takes "
        f"{crossover.ratio:.1f} times as long"
    )


GROWS = {"linear": "no faster than linearly in N", "quadratic": "as N²"}
CLAIMED = {"external": "linear", "self": "quadratic", "fused_self": "quadratic"}
CLAIMED_MEMORY = {"external": "linear", "self": "quadratic", "fused_self": "linear"}
"""Kind of attention -> how its cost is said to grow; O(N) is a bound from above.

Sources: the tutorial for O(d S N) against O(d N^2); Dao et al. 2022, arXiv:2205.14135, for a fused kernel's memory.
"""


def _verdicts(curves: tuple[Curve, ...]) -> Iterable[Verdict]:
    """Every claim about growth, held against the fits."""
    for what, claimed in (("time", CLAIMED), ("peak memory", CLAIMED_MEMORY)):
        for curve in curves:
            if _kind(curve) not in claimed:
                continue
            growth = curve.growth if what == "time" else curve.memory
            law = claimed[_kind(curve)]
            n = f", n = {curve.processes}" if _claimable(growth) else ""
            remark = "" if what == "time" or _fused(curve) else "; no fused kernel ran: this backend has none here"
            yield Verdict(
                f"{SCOPES[curve.scope]}, {PHASES[curve.phase]}: the {what} of {name(curve)} grows {GROWS[law]}",
                _growth_verdict(growth, law),
                _measured(curve, growth) + n + remark,
            )


def _growth_verdict(growth: Growth | None, law: str) -> str:
    if growth is None or not _claimable(growth):
        return "not shown"
    return "holds" if growth.law.name == law else "does not hold"


def _fused(curve: Curve) -> bool:
    """Whether the curve's attention ran in a fused kernel, if it can: not on TensorFlow, nor on JAX in float32."""
    conditions = dict(curve.conditions)
    unfused = conditions.get("backend") == "tensorflow" or (
        conditions.get("backend") == "jax" and conditions.get("precision") == "float32"
    )
    return _kind(curve) != "fused_self" or not unfused
