"""The tutorial's claims, each beside its own two logs and what was measured here, with a verdict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from report import conditions, growth, words
from report.accuracy import FEWEST_SEEDS, Study, Training
from report.answer import Answer
from report.growth import Curve
from results import published
from results.metrics import METRICS, TOP1
from results.published import Published
from results.records import Environment, TrainRecord
from results.stats import Interval
from results.store import Run

ABOUT = 0.02
"""The page says "about": a claimed accuracy is supported where the interval lies within so much of it."""
NOT_RUN = "–"
OTHER_IMAGES = "other images"


@dataclass(frozen=True)
class Measured:
    """One measurement that bears on a claim: under which settings, what it gave, where it ran, what it says.

    `differing` counts the settings that are not the tutorial's, its two recipes aside.
    """

    settings: str
    value: str
    hardware: str
    verdict: str
    differing: int = 0


@dataclass(frozen=True)
class Claim:
    """A claim of the tutorial, as the page's table has it. `measured` has at least one entry."""

    claim: str
    claimed: str
    log_2021: str
    log_keras3: str
    measured: tuple[Measured, ...]


def claims(run: Run, studies: tuple[Study, ...], curves: tuple[Curve, ...]) -> tuple[Claim, ...]:
    """Every claim of the tutorial, in its order."""
    trainings: dict[object, Training] = {}  # one of each kind, from the suite that has the most of them
    for training in sorted((t for study in studies for t in study.trainings), key=lambda t: len(t.records)):
        trainings[training.variant, training.conditions] = training
    parameters = run.plan.tutorial_parameters if run.plan else {}
    return (
        *(_about_variant(claim, trainings.values(), parameters) for claim in published.CLAIMS),
        _about_growth(curves),
    )


def _about_variant(claim: Published, trainings: Iterable[Training], parameters: dict[str, int]) -> Claim:
    def form(value: float | None) -> str:
        return NOT_RUN if value is None else f"{value * 100:.2f} %"

    measured = list(_counted(claim, parameters) if claim.figure == "parameters" else _trained(claim, trainings))
    if claim.figure == "parameters":
        title, why = claim.figure, "its plan does not tell the count"
    else:
        title, why = METRICS[claim.figure].title, f"no training on {published.SETTINGS['dataset']}"
    nothing = Measured("", f"not measured in this run: {why}", "", "not tested")
    return Claim(
        f"{words.variant_name(claim.variant)}, {title}",
        f"{claim.claimed / 1e6:.1f} M" if claim.figure == "parameters" else f"about {claim.claimed * 100:.0f} %",
        form(claim.log_2021),
        form(claim.log_keras3),
        tuple(measured) or (nothing,),
    )


def _counted(claim: Published, parameters: dict[str, int]) -> Iterator[Measured]:
    """A count is exact: it supports the claim where it rounds to what is claimed."""
    if claim.variant in parameters:
        count = parameters[claim.variant]
        supported = f"{count / 1e6:.1f}" == f"{claim.claimed / 1e6:.1f}"
        verdict = "supported" if supported else "contradicted"
        yield Measured("the tutorial's model", f"{count:,}, exactly", "", verdict)


def _trained(claim: Published, trainings: Iterable[Training]) -> Iterator[Measured]:
    for training in trainings:
        if training.variant != claim.variant or training.dataset != published.SETTINGS["dataset"]:
            continue
        values = {conditions.bare(name): value for name, value in training.conditions}
        if any(values.get(name, published.SETTINGS[name]) != published.SETTINGS[name] for name in published.ATTENTION):
            continue
        others = [
            f"{name} {values[name]}"
            for name, value in published.SETTINGS.items()
            if name not in published.RECIPE and values.get(name, value) != value
        ]
        others += [
            f"{figure} {getattr(training.records[0], figure):,}"
            for figure, images in published.IMAGES.items()
            if getattr(training.records[0], figure) != images
        ]
        if not any(_of_the_tutorials_images(record) for record in training.records):  # alike, but older ones say less
            others.append(OTHER_IMAGES)
        interval = training.mean(METRICS[claim.figure])
        yield Measured(
            ", ".join([*(f"{name} {values[name]}" for name in published.RECIPE if name in values), *others]),
            f"{words.percent(interval)}, n = {interval.n}",
            " and ".join(dict.fromkeys(map(hardware, training.machines))),
            _verdict(claim.claimed, interval, others),
            len(others),
        )


def _of_the_tutorials_images(record: TrainRecord) -> bool:
    if record.dataset_content_sha256 is None:
        return record.dataset_sha256 == published.IMAGES_SHA256
    return record.dataset_content_sha256 == published.IMAGES_CONTENT_SHA256


def _verdict(claimed: float, measured: Interval, others: list[str]) -> str:
    if OTHER_IMAGES in others:
        return f"not tested: {OTHER_IMAGES}"
    if others:
        return "not tested: not the tutorial's settings"
    if measured.n < FEWEST_SEEDS or measured.low is None or measured.high is None:
        return "inconclusive: too few seeds"
    if measured.low >= claimed - ABOUT and measured.high <= claimed + ABOUT:
        return "supported"
    if measured.high < claimed - ABOUT or measured.low > claimed + ABOUT:
        return "contradicted"
    return "inconclusive: the interval is too wide"


def answers(claims: Iterable[Claim]) -> Iterator[Answer]:
    """A sentence for each claimed top-1 that was trained for, with what is nearest to the tutorial's settings."""
    for claim in claims:
        if claim.claim.endswith(TOP1.title) and any(measured.hardware for measured in claim.measured):
            logs = "" if claim.log_keras3 == NOT_RUN else f"; its logs say {claim.log_2021} and {claim.log_keras3}"
            nearest = min(measured.differing for measured in claim.measured)
            chosen = [measured for measured in claim.measured if measured.differing == nearest]
            here = "; ".join(f"is {m.verdict}; here it is {m.value} with {m.settings}" for m in chosen)
            yield Answer(claim.claim, f"{claim.claimed}, as the tutorial claims, {here}{logs}.", "claims")


def hardware(environment: Environment) -> str:
    """The device that computed, and the backend."""
    device = environment.device
    if device == "cpu":
        device = f"{words.threads(environment.threads)} of {environment.cpu}"
    return f"{device}, {environment.backend}"


def _about_growth(curves: tuple[Curve, ...]) -> Claim:
    """External attention's cost, in time and memory: a training step of the attention alone and of the whole model."""
    measured = tuple(
        Measured(
            f"{growth.SCOPES[verdict.curve.scope]}, {verdict.what} of one training step",
            verdict.numbers,
            hardware(verdict.curve.environment),
            verdict.verdict,
        )
        for verdict in growth.verdicts(curves)
        if (verdict.curve.variant, verdict.curve.phase) == ("eanet", "train")
    )
    nothing = Measured("", "not measured in this run: no step times", "", "not tested")
    return Claim("EANet, cost", "linear in the number of patches", NOT_RUN, NOT_RUN, measured or (nothing,))
