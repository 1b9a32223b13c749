"""Records -> findings: everything that the page says, before it is said."""

from dataclasses import dataclass

from report import accuracy, claims, growth, race, sentences
from report.accuracy import Study
from report.claims import Claim
from report.groups import Stopped
from report.growth import Crossover, Curve, Verdict
from report.race import Race
from report.sentences import Answer
from results import gates
from results.gates import Gate
from results.store import Run

MOST_ANSWERS = 5


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run has shown; each part is explained in the module that finds it."""

    studies: tuple[Study, ...]
    race: Race | None
    curves: tuple[Curve, ...]
    crossovers: tuple[Crossover, ...]
    stopped: tuple[Stopped, ...]
    verdicts: tuple[Verdict, ...]
    claims: tuple[Claim, ...]
    gate: Gate | None

    @property
    def ablations(self) -> list[Study]:
        return [study for study in self.studies if study.is_ablation]

    @property
    def published(self) -> list[Study]:
        """The suites that compare the tutorial's two variants and nothing else."""
        return [study for study in self.studies if not study.is_ablation]

    @property
    def answers(self) -> list[Answer]:
        """The few sentences that the page begins with: the tutorial's claim, the two attentions' accuracy, what they
        cost, which parts matter, the gate. Ablations are told one by one where there is room, and else all in one."""
        told = [*list(claims.answers(self.claims))[:1], *map(sentences.answer, self.published)]
        grown = list(sentences.of_growth(self.curves, self.crossovers))
        parts = list(map(sentences.answer, self.ablations))
        gated = [Answer("Timing gate", gates.sentence(self.gate), "gate")] if self.gate else []
        if len(told) + len(grown) + len(parts) + len(gated) > MOST_ANSWERS and len(parts) > 1:
            parts = [sentences.which_parts(self.ablations)]
        room = MOST_ANSWERS - len(told) - len(parts) - len(gated)
        return [*told, *grown[: max(room, 0)], *parts, *gated][:MOST_ANSWERS]


def find(run: Run, gate: Gate | None = None) -> Findings:
    """The findings of a run, and of a gate in its folder.

    Only like is averaged with like: same settings, data, backend, precision and machine.
    """
    studies = accuracy.studies(run)
    curves = growth.curves(run.step_times)
    crossovers, stopped = growth.crossovers(curves)
    return Findings(
        studies=studies,
        race=race.race(studies),
        curves=curves,
        crossovers=crossovers,
        stopped=stopped,
        verdicts=tuple(growth.verdicts(curves)),
        claims=claims.claims(run, studies, curves),
        gate=gate,
    )
