"""Findings -> the few lines that a run ends with on a terminal, and the verdicts as Markdown."""

from collections.abc import Iterator

from report import sentences, words
from report.accuracy import STATES, Comparison
from report.findings import Findings
from report.groups import BASE, OURS
from report.growth import Crossover
from report.verdicts import HOW_TO_TEST, of_the_two
from results import gates
from results.metrics import TOP1
from results.printable import markdown

WIDTH = 100
NAME, VALUE = 32, 12
"""Widths of the columns: what is compared, and its value for one of the two."""


def lines(findings: Findings) -> list[str]:
    """Returns at most 20 lines of at most 100 columns: the numbers, the tutorial's claims, and the ablations."""
    numbers = list(_numbers(findings))
    head = [f"{'':{NAME}}{'EANet':>{VALUE}}{'ViT':>{VALUE}}   EANet vs ViT [95 % CI]"] if numbers else []
    claims = [f"  {claim.verdict.upper():<14}{claim.claim}" for claim in findings.claims]
    if findings.claims[0].verdict == "not tested":
        claims[:1] = [claims[0], f"{'':8}to test: {HOW_TO_TEST}"]
    of_run = findings.run.results or findings.run.failures
    parts = [
        head and [*head, *numbers],
        ["The tutorial's claims", *claims] if of_run else [],
        _ablations(findings),
        [f"Timing gate: {gates.sentence(findings.gate)}"] if findings.gate else [],
    ]
    shown = [_fitted(line) for part in parts if part for line in ("", *part)]
    return shown[1:]


def _fitted(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _numbers(findings: Findings) -> Iterator[str]:
    compared = [c for c in of_the_two(findings.studies) if c.base.variant == BASE]
    if compared:
        yield from _trained(compared[0])
    for crossover in findings.crossovers:
        ours, base = crossover.ours, crossover.base
        if (ours.variant, base.variant, ours.phase) == (OURS, BASE, "train"):
            yield from _timed(crossover)


def _trained(c: Comparison) -> Iterator[str]:
    values = (words.value_estimate(TOP1, side.mean(TOP1, c.seeds)) for side in (c.ours, c.base))
    state = STATES[c.state]
    yield _row(f"test accuracy, {words.dataset(c.ours.trial.dataset)}", words.difference(TOP1, c.shown), *values)
    yield _row(f"  {words.number_of(c.difference.n, 'seed')}, {state}")
    counts = c.ours.first.parameters, c.base.first.parameters
    yield _row("parameters", f"{counts[0] / counts[1]:.2f}×", *(f"{count:,}" for count in counts))


def _timed(crossover: Crossover) -> Iterator[str]:
    both, size = (crossover.ours, crossover.base), crossover.largest
    at = [next(point for point in curve.points if point.patches == size) for curve in both]
    scope = sentences.SCOPES[crossover.ours.scope]
    seconds = (f"{words.significant(point.step_seconds.estimate * 1e3)} ms" for point in at)
    yield _row(f"{scope}, N = {size:,}", words.speedup(crossover.ratio), *seconds)
    if crossover.ours.scope != "core":
        return
    grown = [curve.growth.slope for curve in both if curve.growth]
    if len(grown) == 2:
        ends = " ".join(filter(None, (words.plain(slope).partition(" ")[2] for slope in grown)))
        yield _row("  growth with N", ends, *(f"N^{slope.estimate:.2f}" for slope in grown))
    peaks = [point.memory_bytes for point in at]
    if peaks[0] and peaks[1]:
        less = f"{peaks[1].estimate / peaks[0].estimate:.1f}× less"
        yield _row("  peak memory", less, *(f"{words.mebibytes(peak.estimate)} MiB" for peak in peaks if peak))


def _row(name: str, compared: str = "", *of_both: str) -> str:
    return f"  {name:<{NAME - 2}}{''.join(f'{value:>{VALUE}}' for value in of_both)}   {compared}".rstrip()


def _ablations(findings: Findings) -> list[str]:
    """How many differences are significant, and the largest."""
    distinct = {c.hypothesis: c for study in findings.ablations for c in study.compared if c.p_value is not None}
    if not distinct:
        return []
    found = [c for c in distinct.values() if c.is_significant]
    largest = max((c for c in found if c.metric is TOP1), key=lambda c: abs(c.difference.estimate), default=None)
    named = f"; largest: {largest.label}, {words.difference(TOP1, largest.difference)}" if largest else ""
    return [f"Ablations: {len(found)} of {len(distinct)} comparisons significant{named}"]


def as_markdown(findings: Findings) -> str:
    """Returns the verdicts as a Markdown table, for a mail, a pull request or an issue."""
    rows = [
        f"| {words.sentence(claim.verdict)} | {markdown(claim.claim)} | {_cell(claim.evidence)} |"
        for claim in findings.claims
    ]
    lead = [_cell(findings.lead), ""] if findings.lead else []
    table = ["| verdict | the tutorial's claim | evidence |", "|---|---|---|", *rows]
    limits = ["", f"Limits of this run: {'; '.join(map(markdown, findings.limits))}."] if findings.limits else []
    return "\n".join([*lead, *table, *limits])


def _cell(text: str) -> str:
    """Text whose bold parts stay bold."""
    return markdown(text).replace("\\*\\*", "**")
