"""Step times -> how time and memory grow with the number of patches, and above which size external attention pays."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from models.config import AttentionConfig
from report import groups
from report.groups import MACHINE, Group, Stopped, differing, mean_of
from report.words import NOTHING
from results import growth as growths
from results import published, repetition
from results.growth import Claim, Growth
from results.records import Environment, StepTimeRecord
from results.repetition import Repeated
from results.stats import Interval
from results.store import Run
from results.trials import Conditions, StepTimeTrial

What = Literal["time", "peak memory"]


@dataclass(frozen=True, kw_only=True)
class StepTime(Group):
    """One case of step time over its processes; `case` is what `results.repetition` makes of them.

    The intervals of memory are Student's t on the logarithms around the processes' geometric mean, from three processes
    on; that of the step has a variance that is drawn towards those of the other cases (`stats.geometric_means`).
    """

    case: Repeated

    @property
    def first(self) -> StepTimeRecord:
        return self.case.records[0]

    @property
    def patches(self) -> int:
        return self.first.patches

    @property
    def machines(self) -> tuple[Environment, ...]:
        return (self.first.environment,)

    @property
    def step_seconds(self) -> Interval:
        return self.case.step_seconds

    @property
    def seconds_by_process(self) -> tuple[float, ...]:
        """The processes' medians at the machine's usual pace."""
        return self.case.seconds

    @property
    def noisy(self) -> bool:
        """Whether its interval stayed wider than it was to become."""
        return repetition.is_noisy(self.step_seconds)

    @property
    def resident_bytes(self) -> list[int]:
        """Each process's peak over its baseline."""
        return [record.peak_memory_bytes for record in self.case.records]

    @property
    def allocated_bytes(self) -> list[int]:
        """Each process's peak by the backend's own allocator; none where it did not tell every one."""
        peaks = [record.device_peak_memory_bytes or 0 for record in self.case.records]
        return peaks if min(peaks) > 0 else []

    @property
    def bytes_by_process(self) -> list[int]:
        """What the allocator reported, which is exact, or else the resident sizes."""
        return self.allocated_bytes or self.resident_bytes

    @property
    def memory_bytes(self) -> Interval | None:
        return mean_of(self.bytes_by_process)


@dataclass(frozen=True, kw_only=True)
class Curve(Group):
    """Step time and memory against patches for one scope, phase and variant, with the models fitted to them.

    These are None where there are too few sizes.
    """

    points: tuple[StepTime, ...]

    @property
    def trial(self) -> StepTimeTrial:
        return self.points[0].first.trial

    @property
    def attention(self) -> AttentionConfig:
        return self.trial.attention

    @property
    def scope(self) -> str:
        return self.trial.scope

    @property
    def phase(self) -> str:
        return self.trial.phase

    @property
    def environment(self) -> Environment:
        return self.points[0].first.environment

    @property
    def sizes(self) -> list[int]:
        return [point.patches for point in self.points]

    @property
    def seconds(self) -> dict[int, Sequence[float]]:
        """Size -> the step times of its processes."""
        return {point.patches: point.seconds_by_process for point in self.points}

    @cached_property
    def growth(self) -> Growth | None:
        return growths.fit_growth(self.seconds)

    @cached_property
    def memory(self) -> Growth | None:
        if any(min(point.bytes_by_process) <= 0 for point in self.points):
            return None
        return growths.fit_growth({point.patches: point.bytes_by_process for point in self.points})


def curves(run: Run) -> tuple[Curve, ...]:
    """Step times by size. Only like is averaged with like."""
    alike: dict[tuple[str, str, str, str, Conditions], dict[int, list[StepTimeRecord]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in run.step_times:
        machine = ((name, getattr(record.environment, name)) for name in MACHINE)
        conditions = (*record.trial.conditions, *machine)
        alike[record.suite, record.scope, record.phase, record.variant, conditions][record.patches].append(record)
    namesakes: dict[tuple[str, ...], list[tuple[str, Conditions]]] = defaultdict(list)
    for key in alike:
        namesakes[key[:3]].append(key[3:])
    apart = {where: groups.apart(of_where) for where, of_where in namesakes.items()}
    cases = [(key, size) for key, sizes in alike.items() for size in sizes]
    repeated = dict(zip(cases, repetition.repeated([alike[key][size] for key, size in cases]), strict=True))
    found = []
    for key, sizes in sorted(alike.items(), key=lambda item: _order(item[0])):
        suite, _, _, variant, conditions = key
        title = groups.title(variant, run.plan.suites.get(suite) if run.plan else None)
        group = Group(suite=suite, variant=variant, title=title, apart=apart[key[:3]][key[3:]], conditions=conditions)
        points = tuple(StepTime(**vars(group), case=repeated[key, size]) for size in sorted(sizes))
        found.append(Curve(**vars(group), points=points))
    return tuple(found)


def _order(key: tuple[str, str, str, str, Conditions]) -> tuple[object, ...]:
    """By suite; the attention layer before the whole model, the training step before inference; then by variant."""
    suite, scope, phase, variant, conditions = key
    return suite, scope != "core", phase != "train", groups.place(variant), conditions


@dataclass(frozen=True, kw_only=True)
class Crossover:
    """Above how many patches the step of `ours` is faster than that of `base`; see `results.growth.crossover`.

    `smallest` and `largest` are of the sizes that both have, `ratio` is base's step over ours at the largest, and
    `published_ratio` at the tutorial's number of patches, None where either was not timed there.
    """

    ours: Curve
    base: Curve
    patches: Interval
    smallest: int
    largest: int
    ratio: Interval
    published_ratio: Interval | None


def crossovers(curves: Iterable[Curve]) -> tuple[tuple[Crossover, ...], tuple[Stopped, ...]]:
    """Every rival against every base measured under the same conditions (`Attention.role`); and what is compared with
    none that is there."""
    rivals, bases = ([curve for curve in curves if curve.attention.role == role] for role in ("rival", "base"))
    found: list[Crossover] = []
    stopped = []
    for ours in rivals:
        there = [b for b in bases if (b.suite, b.scope, b.phase) == (ours.suite, ours.scope, ours.phase)]
        crossed = [_crossover(ours, base) for base in there if not differing(ours, base)]
        found += filter(None, crossed)
        if there and not any(crossed):
            stopped.append(groups.stopped(ours, there, "sizes"))
    return tuple(found), tuple(stopped)


def _crossover(ours: Curve, base: Curve) -> Crossover | None:
    """None where they have fewer than two sizes in common."""
    patches = growths.crossover(ours.seconds, base.seconds)
    if patches is None:
        return None
    shared = ours.seconds.keys() & base.seconds.keys()
    at = {size: growths.ratio(base.seconds, ours.seconds, size) for size in shared & {max(shared), published.PATCHES}}
    return Crossover(
        ours=ours,
        base=base,
        patches=patches,
        smallest=min(shared),
        largest=max(shared),
        ratio=at[max(shared)],
        published_ratio=at.get(published.PATCHES),
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a curve's time or peak memory grows, and what that says of what is claimed of it, if anything is."""

    curve: Curve
    what: What
    claim: Claim | None
    growth: Growth | None
    verdict: str

    @property
    def fused(self) -> bool:
        """Whether the attention ran in a fused kernel, if it can."""
        return not self.curve.attention.needs_fused_kernel or runs_fused(self.curve.trial)


def runs_fused(trial: StepTimeTrial) -> bool:
    """Whether attention without dropout runs in a fused kernel: not on TensorFlow, nor on JAX in float32."""
    return not (trial.backend == "tensorflow" or (trial.backend == "jax" and trial.precision == "float32"))


def verdicts(curves: Sequence[Curve]) -> Iterator[Verdict]:
    """Compares every growth with what its attention claims (`Attention.grows`)."""
    whats: tuple[What, What] = ("time", "peak memory")
    for what in whats:
        for curve in curves:
            grows = curve.attention.grows
            timed = what == "time"
            claim = None if grows is None else grows.time if timed else grows.memory
            growth = curve.growth if timed else curve.memory
            if claim or growth:
                verdict = growths.verdict(growth, claim) if claim else NOTHING
                yield Verdict(curve=curve, what=what, claim=claim, growth=growth, verdict=verdict)
