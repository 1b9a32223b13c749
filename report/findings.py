"""Records -> findings: everything that the page says, before it is said."""

from dataclasses import dataclass

from report import accuracy, accuracy_answers, claims, growth, pareto
from report.accuracy import Study
from report.answer import Answer
from report.claims import Claim
from report.growth import Crossover, Curve, Verdict
from report.pareto import Race
from results import gates
from results.gates import Gate
from results.store import Run


@dataclass(frozen=True)
class Findings:
    """What a run has shown; each part is explained in the module that finds it."""

    studies: tuple[Study, ...]
    race: Race | None
    curves: tuple[Curve, ...]
    crossovers: tuple[Crossover, ...]
    verdicts: tuple[Verdict, ...]
    claims: tuple[Claim, ...]
    answers: tuple[Answer, ...]
    gate: Gate | None = None


def find(run: Run, gate: Gate | None = None) -> Findings:
    """The findings of a run, and of a gate in its folder.

    Only like is averaged with like: same settings, data, backend, precision and machine.
    """
    studies = accuracy.studies(run)
    curves = growth.curves(run.step_times)
    crossovers = growth.crossovers(curves)
    claimed = claims.claims(run, studies, curves)
    race = pareto.race(studies)
    answers = list(claims.answers(claimed))
    answers += [answer for study in studies for answer in accuracy_answers.answers(study)]
    answers += growth.answers(curves, crossovers)
    answers += pareto.answers(race)
    if gate:
        answers.append(Answer(gates.sentence(gate), "gate"))
    return Findings(
        studies,
        race,
        curves,
        crossovers,
        tuple(growth.verdicts(curves)),
        claimed,
        tuple(answers),
        gate,
    )
