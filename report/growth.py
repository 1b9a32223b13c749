"""Step times -> how time and memory grow with the number of patches, and above which size external attention pays."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from models.attentions.attention import Attention
from models.config import ATTENTIONS
from report import conditions, words
from report.accuracy import PUBLISHED
from report.answer import Answer
from report.conditions import alike, proper
from results import growth as growths
from results import repetition, stats
from results.growth import Claim, Growth, Law
from results.records import Environment, StepTimeRecord
from results.repetition import Repeated
from results.stats import Interval
from results.trials import Conditions

SCOPES = {"core": "The attention alone", "model": "The whole model"}
PHASES = {"train": "one training step", "infer": "one inference"}


@dataclass(frozen=True)
class StepTime:
    """One case of step time over its processes.

    The intervals are Student's t on the logarithms around the processes' geometric mean, from three processes on, that
    of the step with a variance that is drawn towards those of the other cases (`stats.geometric_means`).
    `resident_bytes` is the peak over the process's baseline, `allocated_bytes` the peak of the backend's own allocator
    where it tells, `activation_bytes` the closed form; `seconds_by_process` are the processes' medians at the machine's
    usual pace (`results.repetition`).
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
    disturbed: int
    """Processes that something else hit."""
    left_out: int
    """Those of them that are left out: all, where at least three others are there, and else none."""

    @property
    def noisy(self) -> bool:
        """Whether its interval stayed wider than it was to become."""
        return repetition.is_noisy(self.step_seconds)

    @property
    def title(self) -> str:
        return words.variant_name(self.variant)

    @property
    def memory_bytes(self) -> Interval | None:
        """What the allocator told, which is exact, or else the resident size."""
        return self.allocated_bytes or self.resident_bytes


@dataclass(frozen=True)
class Curve:
    """Step time and memory against patches for one scope, phase and variant, with the models fitted to them.

    `growth` and `memory` are None where there are too few sizes, `multiply_adds` (exact, of one image) too.
    """

    suite: str
    scope: str
    phase: str
    variant: str
    label: str
    conditions: Conditions
    environment: Environment
    points: tuple[StepTime, ...]
    growth: Growth | None
    memory: Growth | None
    multiply_adds: Law | None

    @property
    def title(self) -> str:
        return words.variant_name(self.variant)

    @property
    def sizes(self) -> list[int]:
        return [point.patches for point in self.points]

    @property
    def processes(self) -> int:
        """How many processes the size with the fewest has."""
        return min(point.step_seconds.n for point in self.points)


@dataclass(frozen=True)
class Crossover:
    """Above how many patches the step of `ours` is faster than that of `base`; see `results.growth.crossover`."""

    ours: Curve
    base: Curve
    patches: Interval
    smallest: int
    largest: int
    """The smallest and the largest size that both have."""
    ratio: Interval
    """Base's step over ours at the largest."""


@dataclass(frozen=True)
class Verdict:
    """A claim about a curve's time or peak memory, what the measurement says of it, and the numbers it says so by."""

    curve: Curve
    what: str
    claim: str
    verdict: str
    numbers: str


def curves(records: Iterable[StepTimeRecord]) -> tuple[Curve, ...]:
    """Step times by size, with the models fitted to them. Only like is averaged with like."""
    groups: dict[tuple[str, str, str, str, Conditions], dict[int, list[StepTimeRecord]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in records:
        machine = ((name, getattr(record.environment, name)) for name in conditions.MACHINE)
        shared = (*record.trial.conditions, *machine)
        groups[record.suite, record.scope, record.phase, record.variant, shared][record.patches].append(record)
    labels = {
        (suite, scope, phase): conditions.labels(
            (v, c) for s, sc, p, v, c in groups if (s, sc, p) == (suite, scope, phase)
        )
        for suite, scope, phase, _, _ in groups
    }
    cases = [(key, patches) for key, sizes in groups.items() for patches in sizes]
    repeated = dict(zip(cases, repetition.repeated([groups[key][size] for key, size in cases]), strict=True))
    found = []
    for key, sizes in sorted(groups.items()):
        suite, scope, phase, variant, shared = key
        label = labels[suite, scope, phase][variant, shared]
        points = tuple(_point(label, repeated[key, size]) for size in sorted(sizes))
        found.append(
            Curve(
                suite,
                scope,
                phase,
                variant,
                label,
                shared,
                next(iter(sizes.values()))[0].environment,
                points,
                growths.fit_growth({point.patches: point.seconds_by_process for point in points}),
                _memory_growth(points),
                _multiply_adds(points),
            )
        )
    return tuple(found)


def _point(label: str, case: Repeated) -> StepTime:
    """One case, from those of its processes that count."""
    records = case.records
    first = records[0]
    resident = [record.peak_memory_bytes for record in records]
    allocated = [r.device_peak_memory_bytes for r in records if r.device_peak_memory_bytes is not None]
    told = len(allocated) == len(records) and min(allocated) > 0
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
        case.step_seconds,
        stats.geometric_mean_interval(resident) if min(resident) > 0 else None,
        stats.geometric_mean_interval(allocated) if told else None,
        case.seconds,
        tuple(allocated if told else resident),
        case.disturbed,
        case.left_out,
    )


def _memory_growth(points: tuple[StepTime, ...]) -> Growth | None:
    if any(min(point.bytes_by_process) <= 0 for point in points):
        return None
    return growths.fit_growth({point.patches: point.bytes_by_process for point in points})


def _multiply_adds(points: tuple[StepTime, ...]) -> Law | None:
    """Their exact law, or None with too few sizes and for records that follow none."""
    try:
        return growths.exact_growth({point.patches: point.multiply_adds for point in points})
    except ValueError:
        return None


def crossovers(curves: tuple[Curve, ...]) -> tuple[Crossover, ...]:
    """Every rival against every base that was measured under the same conditions (`Attention.role`)."""
    found = []
    for ours in curves:
        for base in curves:
            if (ours.scope, ours.phase) != (base.scope, base.phase) or not _rivals(ours, base):
                continue
            ours_seconds, base_seconds = (
                {point.patches: point.seconds_by_process for point in curve.points} for curve in (ours, base)
            )
            patches = growths.crossover(ours_seconds, base_seconds)
            if patches is not None:
                shared = ours_seconds.keys() & base_seconds.keys()
                smallest, largest = min(shared), max(shared)
                ratio = growths.ratio(base_seconds, ours_seconds, largest)
                found.append(Crossover(ours, base, patches, smallest, largest, ratio))
    return tuple(found)


def _rivals(ours: Curve, base: Curve) -> bool:
    roles = [attention.role for attention in (_attention(ours), _attention(base)) if attention]
    return roles == ["rival", "base"] and alike(ours, base)


def _attention(curve: Curve) -> type[Attention] | None:
    """The curve's attention, None where its settings name none that is known."""
    return ATTENTIONS.get(str(dict(curve.conditions)["attention.kind"]))


def answers(curves: tuple[Curve, ...], crossovers: tuple[Crossover, ...]) -> Iterable[Answer]:
    """How the training step grows in each scope and from where on external attention pays; then memory.

    Of time the tutorial's two variants are told, where they are there; the page's tables hold all.
    """
    for scope, what in SCOPES.items():
        chosen = [curve for curve in curves if (curve.scope, curve.phase) == (scope, "train")]
        told = [curve for curve in chosen if curve.variant in PUBLISHED] or chosen
        if not told:
            continue
        laws = [
            f"{proper(curve)}'s is {_classified(curve.growth)} (log-log slope {words.plain(curve.growth.exponent)})"
            for curve in told
            if curve.growth and _claimable(curve.growth)
        ]
        growth = f"{' and '.join(laws)}{_processes(told)}" if laws else _unclaimed(told[0])
        payoffs = [_payoff(c) for c in crossovers if c.ours in told and c.base in told]
        about = f"{what}, time of a training step by number of patches N"
        yield Answer(about, f"{'; '.join([growth, *payoffs])}.", "growth")
    remembered = [c for c in curves if (c.scope, c.phase) == ("core", "train") and _claimable(c.memory)]
    if remembered:
        parts = ", ".join(f"{proper(curve)}'s is {_remembered(curve)}" for curve in remembered)
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
    sizes, n = len(curve.points), curve.processes
    if sizes < growths.FEWEST_SIZES:
        measured = f"{sizes} {'size was' if sizes == 1 else 'sizes were'} measured"
        return f"its growth was not tested, for {measured} and a fit needs {growths.FEWEST_SIZES}"
    if n < stats.FEWEST_PROCESSES:
        return f"its growth was not tested, for n = {n} and an interval needs {stats.FEWEST_PROCESSES} processes a size"
    return "its growth was not tested, for some process told no peak"


def _measured(curve: Curve, growth: Growth | None, what: str, claim: Claim) -> str:
    """The model's name, the log-log slope and the quadratic part: a slope alone understates a mixed law."""
    if growth is None or not _claimable(growth):
        return _unclaimed(curve)
    largest = curve.sizes[-1]
    rival = "" if growth.n_log_n_excluded >= growths.EXCLUDED[claim] else "; N log N is not excluded"
    part = f"{words.share(growth.quadratic_share)} of the fitted {what} at {largest:,} is quadratic"
    if growth.quadratic_share.high == 0:
        part = f"it grows more slowly than a line: no part of the {what} at {largest:,} is quadratic"
    return (
        f"{_classified(growth)} in the number of patches N (log-log slope {words.plain(growth.exponent)} from N = "
        f"{growths.upper_half(curve.sizes)[0]:,} to {largest:,}; {part}{rival})"
    )


def _classified(growth: Growth) -> str:
    return f"classified as {growth.law.name}"


def _remembered(curve: Curve) -> str:
    """The model of a curve's memory, and what it comes to at the largest size."""
    last = curve.points[-1]
    assert curve.memory is not None
    assert last.memory_bytes is not None
    peak = words.with_interval(last.memory_bytes, words.mebibytes, " MiB")
    slope = words.plain(curve.memory.exponent)
    at = f"{peak} at N = {last.patches:,}, batch {last.batch}"
    return f"{_classified(curve.memory)} (log-log slope {slope}; {at})"


def _payoff(crossover: Crossover) -> str:
    """Where the step of external attention is the faster one, and by how much at the largest size."""
    ours, base, patches = proper(crossover.ours), proper(crossover.base), crossover.patches
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


GROWS: dict[Claim, str] = {"linear": "no faster than linearly in N", "quadratic": "as N²"}


def verdicts(curves: tuple[Curve, ...]) -> Iterable[Verdict]:
    """Every claim about growth (`Attention.grows`), compared with the fits."""
    for what in ("time", "peak memory"):
        for curve in curves:
            attention = _attention(curve)
            if attention is None or attention.grows is None:
                continue
            timed = what == "time"
            growth, claim = (curve.growth, attention.grows.time) if timed else (curve.memory, attention.grows.memory)
            n = _processes([curve]) if _claimable(growth) else ""
            fair = timed or _kernel_ran(curve, attention)
            remark = "" if fair else "; no fused kernel ran: this backend has none here"
            yield Verdict(
                curve,
                what,
                f"{SCOPES[curve.scope]}, {PHASES[curve.phase]}: the {what} of {proper(curve)} grows {GROWS[claim]}",
                growths.verdict(growth, claim),
                _measured(curve, growth, what, claim) + n + remark,
            )


def _kernel_ran(curve: Curve, attention: type[Attention]) -> bool:
    """Whether the fused kernel ran that the claims are about, if they are: not on TensorFlow, nor on JAX in float32."""
    conditions = dict(curve.conditions)
    unfused = conditions.get("backend") == "tensorflow" or (
        conditions.get("backend") == "jax" and conditions.get("precision") == "float32"
    )
    return not attention.needs_fused_kernel or not unfused
