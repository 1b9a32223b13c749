"""Records -> findings: everything that the page says, before it is said."""

from dataclasses import dataclass

from report import accuracy, claims, growth
from report.accuracy import Study
from report.answer import Answer
from report.claims import Claim
from report.growth import Crossover, Curve, Verdict
from results.store import Run


@dataclass(frozen=True)
class Findings:
    """What a run has shown; each part is explained in the module that finds it."""

    studies: tuple[Study, ...]
    curves: tuple[Curve, ...]
    crossovers: tuple[Crossover, ...]
    verdicts: tuple[Verdict, ...]
    claims: tuple[Claim, ...]
    answers: tuple[Answer, ...]


def find(run: Run) -> Findings:
    """The findings of a run. Only like is averaged with like: same settings, data, backend, precision and machine."""
    studies = accuracy.studies(run)
    curves = growth.curves(run.step_times)
    crossovers = growth.crossovers(curves)
    claimed = claims.claims(run, studies, curves)
    answers = list(claims.answers(claimed))
    answers += [answer for study in studies for answer in accuracy.answers(study)]
    answers += growth.answers(curves, crossovers)
    return Findings(
        studies,
        curves,
        crossovers,
        tuple(growth.verdicts(curves)),
        claimed,
        tuple(answers),
    )
