"""Findings -> the few lines that a run ends with on a terminal, and the verdicts as Markdown."""

from collections.abc import Iterator

from models.attentions.own import OwnAttention
from report import sentences, words
from report.findings import Findings
from report.groups import BASE
from report.growth import Crossover
from report.reproductions import departures_of_both
from report.tested import Comparison
from report.verdicts import HOW_TO_TEST, of_the_two, steps_of_the_two
from results.metrics import TOP1
from results.printable import markdown

WIDTH, MOST_LINES = 100, 20
OWN = OwnAttention.model_fields["kind"].default
NAME, VALUE = 34, 12
"""Widths of the columns: what is compared, and its value for one of the two."""


def lines(findings: Findings) -> list[str]:
    """Returns at most 20 lines of at most 100 columns: the numbers, the tutorial's claims, and the ablations."""
    numbers = list(_numbers(findings))
    columns = f"{'':{NAME}}{'EANet':>{VALUE}}{'ViT':>{VALUE}}   EANet vs ViT [95 % CI]"
    numbers = [columns, *numbers] if numbers else []
    claims = [f"  {claim.verdict.upper():<14}{claim.claim}" for claim in findings.claims]
    if findings.claims[0].verdict == "not tested":
        claims[:1] = [claims[0], f"{'':8}to test: {HOW_TO_TEST}"]
    claims = ["The tutorial's claims", *claims] if findings.run.results or findings.run.failures else []
    incomplete, ablations = sentences.incomplete(findings.run), _ablations(findings)
    head = [f"Not the whole run: {', '.join(incomplete)}."] if incomplete else []
    room = MOST_LINES - len([*head, *numbers, "", *claims, "", *ablations])
    own = list(_own(findings))[: max(0, min(room, MOST_OWN))]
    parts = [numbers, claims, [*own, *ablations]]
    shown = [words.cut(line, WIDTH) for part in parts if part for line in ("", *part)]
    return [*head, *shown[1:]]


def _numbers(findings: Findings) -> Iterator[str]:
    compared = [c for c in of_the_two(findings.studies) if c.base.variant == BASE]
    if compared:
        yield from _trained(compared[0])
    for crossover in steps_of_the_two(findings.crossovers):
        yield from _timed(crossover)


def _trained(c: Comparison) -> Iterator[str]:
    values = (words.value_estimate(TOP1, side.mean(TOP1, c.seeds)) for side in (c.ours, c.base))
    of = words.dataset(c.ours.first.dataset)
    if any(name.startswith("patch_size ") for name in departures_of_both(c)):
        of += f", N = {c.ours.first.patches:,}"
    yield _row(f"test accuracy, {of}", words.difference(TOP1, c.shown), *values)
    yield _row(f"  {', '.join(filter(None, (words.number_of(c.difference.n, 'seed'), c.verdict, c.power)))}")
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
        times = peaks[1].estimate / peaks[0].estimate
        less = f"{times:.1f}× less" if times >= 1 else f"{1 / times:.1f}× more"
        yield _row("  peak memory", less, *(f"{words.mebibytes(peak.estimate)} MiB" for peak in peaks if peak))


def _row(name: str, compared: str = "", *of_both: str) -> str:
    if not of_both:
        return f"  {name}"
    name = words.cut(name, NAME - 2)
    name += " " * (NAME - 2 - words.width(name))
    return f"  {name}{''.join(f'{value:>{VALUE}}' for value in of_both)}   {compared}".rstrip()


MOST_OWN = 3


def _own(findings: Findings) -> Iterator[str]:
    """Returns a line for each attention of a user's own: its accuracy, its speed compared with ViT's, its growth."""
    found: dict[str, list[str]] = {}
    for c in (c for study in findings.studies for c in study.variants):
        if c.metric is TOP1 and c.ours.attention_kind == OWN:
            said = f"{words.difference(TOP1, c.shown)} vs {c.base.name}, {c.verdict}"
            found.setdefault(c.ours.name, []).append(said)
    for crossover in findings.crossovers:
        ours = crossover.ours
        if (ours.scope, ours.phase, crossover.base.variant) == ("core", "train", BASE) and ours.attention.kind == OWN:
            at = f"{words.speedup(crossover.ratio)} than ViT at N = {crossover.largest:,}"
            found.setdefault(ours.name, []).append(at)
    for verdict in findings.verdicts:
        curve = verdict.curve
        if (curve.scope, curve.phase, verdict.what, curve.attention.kind) == ("core", "train", "time", OWN):
            found.setdefault(curve.name, []).append(f"time {verdict.claim or 'without a claim'}: {verdict.verdict}")
    for name, parts in found.items():
        yield f"{name}: {'; '.join(parts)}"


def _ablations(findings: Findings) -> list[str]:
    """How many differences are significant, and the largest."""
    distinct = {c.hypothesis: c for study in findings.ablations for c in study.compared if c.p_value is not None}
    if not distinct:
        return []
    found = [c for c in distinct.values() if c.is_significant]
    largest = max((c for c in found if c.metric is TOP1), key=lambda c: abs(c.difference.estimate), default=None)
    counted = f"Ablations: {len(found)} of {len(distinct)} comparisons significant"
    if largest is None:
        return [counted]
    apart = words.difference(TOP1, largest.shown)
    room = WIDTH - words.width(f"{counted}; largest: , {apart}")
    return [f"{counted}; largest: {words.cut(largest.label, room)}, {apart}"]


def as_markdown(findings: Findings) -> str:
    """Returns the verdicts as a Markdown table, for a mail, a pull request or an issue."""
    rows = [
        f"| {words.sentence(claim.verdict)} | {markdown(claim.claim)} | {_cell(claim.evidence)} |"
        for claim in findings.claims
    ]
    lead = [_cell(findings.lead), ""] if findings.lead else []
    incomplete = sentences.incomplete(findings.run)
    lead = [*([f"Not the whole run: {markdown(', '.join(incomplete))}.", ""] if incomplete else []), *lead]
    table = ["| verdict | the tutorial's claim | evidence |", "|---|---|---|", *rows]
    limits = ["", f"Limits of this run: {'; '.join(map(markdown, findings.limits))}."] if findings.limits else []
    return "\n".join([*lead, *table, *limits])


def _cell(text: str) -> str:
    """Text whose bold parts stay bold."""
    return markdown(text).replace("\\*\\*", "**")
