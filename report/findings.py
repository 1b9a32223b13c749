"""Records -> findings: everything that the page reports, before it is written."""

from dataclasses import dataclass
from functools import cached_property

from report import accuracy, growth, race, reproductions, verdicts
from report.accuracy import Study
from report.groups import Stopped
from report.growth import Crossover, Curve, StepTime, Verdict
from report.race import Race
from report.reproductions import Reproduction
from report.verdicts import Claim
from results.store import Run


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run has shown; each part is explained in the module that finds it."""

    run: Run
    studies: tuple[Study, ...]
    curves: tuple[Curve, ...]
    crossovers: tuple[Crossover, ...]
    stopped: tuple[Stopped, ...]

    @property
    def published(self) -> list[Study]:
        """The suites that compare the tutorial's two variants and nothing else."""
        return [study for study in self.studies if not study.is_ablation]

    @property
    def ablations(self) -> list[Study]:
        return [study for study in self.studies if study.is_ablation]

    @property
    def points(self) -> list[StepTime]:
        return [point for curve in self.curves for point in curve.points]

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        return verdicts.claims(self.studies, self.curves, self.crossovers)

    @cached_property
    def part_claims(self) -> tuple[Claim, ...]:
        return verdicts.part_claims(self.studies)

    @cached_property
    def lead(self) -> str:
        return verdicts.lead(self.facts, self.claims)

    @cached_property
    def facts(self) -> list[str]:
        return verdicts.facts(self.studies, self.crossovers)

    @cached_property
    def limits(self) -> list[str]:
        return verdicts.limits(self.run, self.published or self.studies, self.points)

    @cached_property
    def reproductions(self) -> tuple[Reproduction, ...]:
        return reproductions.reproductions(self.studies)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(growth.verdicts(self.curves))

    @cached_property
    def race(self) -> Race | None:
        return race.race(self.studies)


def find(run: Run) -> Findings:
    """Returns the findings of a run.

    Only like is averaged with like: same settings, data, backend, precision and machine.
    """
    curves = growth.curves(run)
    crossovers, stopped = growth.crossovers(curves)
    studies = accuracy.studies(run)
    return Findings(run=run, studies=studies, curves=curves, crossovers=crossovers, stopped=stopped)
