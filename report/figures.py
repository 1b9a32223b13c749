"""Findings -> seaborn figures as SVG text: one colour and one marker per variant through the whole page."""

from report.accuracy_figures import DRAW, front
from report.canvas import Figure
from report.findings import Findings
from report.growth_figures import growth, memory


def figures(findings: Findings) -> dict[str, Figure]:
    """Every figure that the findings have data for, by name."""
    drawn = [DRAW[what](study) for study in findings.studies for what in study.plan.draw]
    drawn += [draw(findings) for draw in (growth, memory)]
    if findings.race:
        drawn += [front(findings.race, cost) for cost in findings.race.costs]
    return {figure.name: figure for figure in drawn if figure}
