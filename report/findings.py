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
    told = _answers(claimed, studies, curves, crossovers, gate)
    return Findings(
        studies,
        race,
        curves,
        crossovers,
        tuple(growth.verdicts(curves)),
        claimed,
        told,
        gate,
    )


MOST_ANSWERS = 5


def _answers(
    claimed: tuple[Claim, ...],
    studies: tuple[Study, ...],
    curves: tuple[Curve, ...],
    crossovers: tuple[Crossover, ...],
    gate: Gate | None,
) -> tuple[Answer, ...]:
    """The few sentences that the page begins with: the tutorial's claim, the two attentions' accuracy, what they cost,
    which parts matter, the gate. Ablations are told one by one where there is room, and else all in one sentence."""
    told = [
        *list(claims.answers(claimed))[:1],
        *(accuracy_answers.answer(study) for study in studies if not study.is_ablation),
    ]
    grown = list(growth.answers(curves, crossovers))
    ablations = [study for study in studies if study.is_ablation]
    parts = [accuracy_answers.answer(study) for study in ablations]
    gated = [Answer("Timing gate", gates.sentence(gate), "gate")] if gate else []
    if len(told) + len(grown) + len(parts) + len(gated) > MOST_ANSWERS and len(ablations) > 1:
        parts = [accuracy_answers.which_parts(ablations)]
    room = MOST_ANSWERS - len(told) - len(parts) - len(gated)
    return tuple([*told, *grown[: max(room, 0)], *parts, *gated][:MOST_ANSWERS])
