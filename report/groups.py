"""Groups of records that were taken under the same conditions, their names, and their machines."""

import base64
import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from models.config import VARIANTS
from report import words
from results import differences, stats
from results.gates import Machine
from results.metrics import TOP1, Metric
from results.records import Environment, PlannedSuite, TrainRecord
from results.stats import Interval
from results.trials import Conditions, TrainTrial, Value

OURS, BASE = PUBLISHED = "eanet", "vit"
"""The tutorial's two variants: external attention, and self-attention, which it is compared with."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Records of one variant under one set of `conditions`.

    `title` is the variant's name for people; `apart` is what sets the group apart from its namesakes.
    """

    suite: str
    variant: str
    title: str
    apart: str
    conditions: Conditions

    @property
    def label(self) -> str:
        """The variant and what sets it apart, as files name it."""
        return self.variant + self.apart

    @property
    def name(self) -> str:
        """The same for people."""
        return self.title + self.apart

    @property
    def key(self) -> tuple[str, Conditions]:
        """The variant and its conditions: groups of the same, whichever suites asked for them, are one."""
        return self.variant, self.conditions


def place(variant: str) -> tuple[int, str]:
    """Where a variant stands everywhere: in the order of `VARIANTS`, then a suite's own by name."""
    known = list(VARIANTS)
    return (known.index(variant) if variant in known else len(known)), variant


def title(variant: str, plan: PlannedSuite | None) -> str:
    """A variant's name for people: what a suite calls its own, or that of a preset."""
    return plan.own[variant].title if plan and variant in plan.own else words.variant_name(variant)


def bare(name: str) -> str:
    """A condition's name as `--set` has it: `attention.heads` -> `heads`."""
    return name.removeprefix("attention.")


def apart(groups: Iterable[tuple[str, Conditions]], grid: Iterable[str] = ()) -> dict[tuple[str, Conditions], str]:
    """(variant, conditions) -> the conditions in which a variant's groups differ, those of a suite's grid left out."""
    by_variant: dict[str, list[Conditions]] = defaultdict(list)
    for variant, conditions in groups:
        by_variant[variant].append(conditions)
    found = {}
    for variant, all_conditions in by_variant.items():
        shared = set.intersection(*map(set, all_conditions))
        for conditions in all_conditions:
            own = [pair for pair in conditions if pair not in shared and bare(pair[0]) not in ("kind", *grid)]
            parts = ", ".join(f"{bare(name)}={words.setting(value)}" for name, value in own)
            found[variant, conditions] = f" ({parts})" if parts else ""
    return found


def differing(ours: Group, base: Group, but_for: Container[str] = ()) -> dict[str, tuple[Value, Value]]:
    """The conditions that stop a comparison: name -> ours, base's; none where two groups may be compared.

    Those are all that both groups have, their kind of attention and what is in `but_for` apart. A dropout or a number
    of heads that both attentions have is one too.
    """
    theirs = dict(base.conditions)
    return {
        name: (value, theirs[name])
        for name, value in ours.conditions
        if name != "attention.kind" and theirs.get(name, value) != value and bare(name) not in but_for
    }


@dataclass(frozen=True)
class Stopped:
    """A group that is not compared with a base that is there, and why: the `conditions` that stop it (`differing`), or
    else too few of what is compared, such as "seeds", in common."""

    ours: Group
    base: Group
    conditions: dict[str, tuple[Value, Value]]
    unit: str


def stopped(ours: Group, bases: Iterable[Group], unit: str, but_for: Container[str] = ()) -> Stopped:
    """What keeps a group from a comparison with the base that is nearest to it."""
    found = (Stopped(ours, base, differing(ours, base, but_for), unit) for base in bases)
    return min(found, key=lambda one: len(one.conditions))


MACHINE = ("device", "cpu", "threads")
MEMORY_TOLERANCE = 0.1
"""A machine's memory differs a little from start to start; one with more or less than this is another machine."""


def same_machine(ours: Environment, theirs: Environment) -> bool:
    """Whether two machines are alike by all that their records tell."""
    alike = all(getattr(ours, name) == getattr(theirs, name) for name in MACHINE)
    return alike and math.isclose(ours.memory_bytes, theirs.memory_bytes, rel_tol=MEMORY_TOLERANCE)


def machines(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """The first environment of each machine."""
    found: list[Environment] = []
    for environment in environments:
        if not any(same_machine(environment, other) for other in found):
            found.append(environment)
    return tuple(found)


def machine_name(environment: Environment) -> str:
    """The machine for people: "A CPU, 2 threads, 24.0 GiB", with the device where something else computes."""
    memory = f"{environment.memory_bytes / 2**30:.1f} GiB"
    name = f"{processor(environment)}, {memory}"
    return name if environment.device == "cpu" else f"{environment.device} of {name}"


def processor(machine: Environment | Machine) -> str:
    """A machine's processor and its threads for people."""
    return f"{machine.cpu}, {words.number_of(machine.threads, 'thread')}"


@dataclass(frozen=True, kw_only=True)
class Training(Group):
    """Trainings that differ in their seed alone, and maybe in the machine: accuracy belongs to none.

    `grid` holds the settings that the suite's grid gave them, which are no part of their name. `looks` counts how often
    a page with fewer seeds of them was there to look at before more were added, this one included.
    """

    grid: tuple[tuple[str, str], ...]
    looks: int = 1
    records: tuple[TrainRecord, ...] = field(repr=False)

    @property
    def first(self) -> TrainRecord:
        return self.records[0]

    @property
    def trial(self) -> TrainTrial:
        """The trial of the first one, which differs from the others in the seed alone."""
        return self.first.trial

    @property
    def attention_kind(self) -> str:
        return self.trial.model.attention.kind

    @property
    def settings(self) -> list[str]:
        """Its settings of the grid in words: "augmentation corrected"."""
        return [f"{setting} {value}" for setting, value in self.grid]

    @property
    def full_name(self) -> str:
        """Its name and its settings of the grid."""
        return ", ".join([self.name, *self.settings])

    @property
    def epochs(self) -> int:
        return len(self.first.epochs)

    @property
    def seeds(self) -> set[int]:
        return {record.seed for record in self.records}

    @cached_property
    def machines(self) -> tuple[Environment, ...]:
        """Where it was trained: one environment of each machine, those before an interruption included."""
        return machines(e for record in self.records for e in (*record.interrupted_in, record.environment))

    def mean(self, metric: Metric, seeds: set[int] | None = None) -> Interval:
        """Mean over the seeds that have the metric, or over those of them that are given."""
        by_seed = self.by_seed(metric)
        values = [value for seed, value in by_seed.items() if seeds is None or seed in seeds]
        resolution = metric.resolution(self.first)
        chosen = [seed for seed in by_seed if seeds is None or seed in seeds]
        if folds := self.trial.test_folds:
            found = differences.over_splits(values, folds, resolution)
        elif metric is TOP1 and tell_images((self,), chosen):
            found = differences.over_seeds_and_images(np.array([self.right(seed) for seed in chosen], float))
        else:
            found = differences.over_seeds(values, resolution)
        return stats.accuracy_interval(found.interval, metric.images(self.first)) if metric.images else found.interval

    def by_seed(self, metric: Metric) -> dict[int, float]:
        return {record.seed: metric.read(record) for record in self.records if metric.is_in(record)}

    def right(self, seed: int) -> np.ndarray:
        """Which test images a seed's model gets right, `(images,)` of 0 and 1, where its record tells."""
        record = next(record for record in self.records if record.seed == seed)
        assert record.predictions
        bits = np.frombuffer(base64.b64decode(record.predictions.right), np.uint8)
        return np.unpackbits(bits, count=record.test_images).astype(np.int8)

    @cached_property
    def seeds_at_chance(self) -> int:
        """How many seeds ended no better than guessing one of the classes."""
        classes = self.trial.model.classes
        return sum(stats.at_chance(TOP1.read(record), record.test_images, classes) for record in self.records)

    @property
    def at_chance(self) -> str:
        """Words for trainings that ended at chance; else nothing."""
        some, n = self.seeds_at_chance, len(self.records)
        return "" if not some else "at chance" if some == n else f"{some} of {n} seeds at chance"

    def by_process(self, read: Callable[[TrainRecord], float | None]) -> tuple[float, ...]:
        """Geometric means of what each process measured; of several machines there is none. Records that name no
        process count as one process together."""
        found: dict[str | None, list[float]] = defaultdict(list)
        for record in self.records:
            value = read(record)
            if value is not None and value > 0 and len(self.machines) == 1:
                found[record.environment.process].append(value)
        return tuple(stats.geometric_mean_interval(values).estimate for values in found.values())

    @cached_property
    def seconds_by_process(self) -> tuple[float, ...]:
        """The training step in each process that measured one."""
        return self.by_process(lambda record: record.train_step_seconds)

    @cached_property
    def bytes_by_process(self) -> tuple[float, ...]:
        """Peak memory of the training step in each process that measured one."""
        return self.by_process(lambda record: record.step_memory_bytes)


def mean_of(values: Sequence[float]) -> Interval | None:
    """Geometric mean over the processes; None where none measured it."""
    return stats.geometric_mean_interval(values) if values and min(values) > 0 else None


def smoothing(trainings: Iterable[Training]) -> str:
    """Words for the label smoothing that their losses hold, " with label smoothing 0.1"; else nothing."""
    found = sorted({training.trial.training.label_smoothing for training in trainings})
    return f" with label smoothing {' or '.join(map(words.setting, found))}" if any(found) else ""


def metric_of(metric: Metric, trainings: Iterable[Training]) -> Metric:
    """The metric as it is of such trainings: a loss holds their label smoothing, and its title says so."""
    return replace(metric, title=f"{metric.title}{smoothing(trainings)}") if metric.smoothed else metric


def tell_images(trainings: Iterable[Training], seeds: Container[int]) -> bool:
    """Returns whether the records of these seeds tell which of as many test images are right."""
    records = [record for training in trainings for record in training.records if record.seed in seeds]
    return len({record.test_images for record in records if record.predictions}) == 1 and all(
        record.predictions for record in records
    )


def data(record: TrainRecord) -> tuple[str, str]:
    """The condition that trainings share which are of the same images in the same order."""
    return "dataset_sha256", record.dataset_sha256[:12]
