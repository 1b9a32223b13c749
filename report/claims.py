"""The tutorial's claims, each beside its own two logs and what was measured here, with a verdict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from report import growth, sentences, words
from report.accuracy import FEWEST_SEEDS, Study
from report.groups import Training, bare
from report.growth import Curve
from report.sentences import Answer
from report.words import NOTHING
from results import published
from results.metrics import METRICS, TOP1
from results.published import Published
from results.records import Environment, TrainRecord
from results.stats import Interval
from results.store import Run

ABOUT = 0.02
"""The page says "about": a claimed accuracy is supported where the interval lies within so much of it."""
OTHER_IMAGES = "other images"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement that bears on a claim: under which settings, what it gave, where it ran, what it says.

    `differing` counts the settings that are not the tutorial's, its two recipes aside.
    """

    settings: str = ""
    value: str
    hardware: str = ""
    verdict: str
    differing: int = 0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the tutorial, as the page's table has it. `measured` has at least one entry."""

    claim: str
    claimed: str
    log_2021: str = NOTHING
    log_keras3: str = NOTHING
    measured: tuple[Measured, ...]


def claims(run: Run, studies: Iterable[Study], curves: Iterable[Curve]) -> tuple[Claim, ...]:
    """Every claim of the tutorial, in its order."""
    by_seeds = sorted((t for study in studies for t in study.trainings), key=lambda t: len(t.records))
    trainings = {training.key: training for training in by_seeds}  # one of each kind, of the suite that has the most
    parameters = run.plan.tutorial_parameters if run.plan else {}
    return (
        *(_about_variant(claim, trainings.values(), parameters) for claim in published.CLAIMS),
        _about_growth(curves),
    )


def _about_variant(claim: Published, trainings: Iterable[Training], parameters: dict[str, int]) -> Claim:
    def log(value: float | None) -> str:
        return NOTHING if value is None else f"{value * 100:.2f} %"

    is_count = claim.figure == "parameters"
    measured = tuple(_counted(claim, parameters) if is_count else _trained(claim, trainings))
    why = "its plan does not tell the count" if is_count else f"no training on {published.SETTINGS['dataset']}"
    return Claim(
        claim=f"{words.variant_name(claim.variant)}, {claim.figure if is_count else METRICS[claim.figure].title}",
        claimed=f"{claim.claimed / 1e6:.1f} M" if is_count else f"about {claim.claimed * 100:.0f} %",
        log_2021=log(claim.log_2021),
        log_keras3=log(claim.log_keras3),
        measured=measured or _nothing(why),
    )


def _nothing(why: str) -> tuple[Measured, ...]:
    return (Measured(value=f"not measured in this run: {why}", verdict="not tested"),)


def _counted(claim: Published, parameters: dict[str, int]) -> Iterator[Measured]:
    """A count is exact: it supports the claim where it rounds to what is claimed."""
    if claim.variant in parameters:
        count = parameters[claim.variant]
        supported = f"{count / 1e6:.1f}" == f"{claim.claimed / 1e6:.1f}"
        verdict = "supported" if supported else "contradicted"
        yield Measured(settings="the tutorial's model", value=f"{count:,}, exactly", verdict=verdict)


def _trained(claim: Published, trainings: Iterable[Training]) -> Iterator[Measured]:
    for training in trainings:
        values = {bare(name): value for name, value in training.conditions}
        differing = {name for name, value in published.SETTINGS.items() if values.get(name, value) != value}
        if training.variant != claim.variant or differing & {"dataset", *published.ATTENTION}:
            continue
        told = {name: f"{name} {words.setting(values[name])}" for name in published.SETTINGS if name in values}
        others = [told[name] for name in told if name in differing and name not in published.RECIPE]
        others += [
            f"{figure} {getattr(training.first, figure):,}"
            for figure, images in published.IMAGES.items()
            if getattr(training.first, figure) != images
        ]
        if not any(map(_of_the_tutorials_images, training.records)):  # alike, but older ones say less
            others.append(OTHER_IMAGES)
        interval = training.mean(METRICS[claim.figure])
        yield Measured(
            settings=", ".join([*(told[name] for name in published.RECIPE), *others]),
            value=f"{words.value(METRICS[claim.figure], interval)}, n = {interval.n}",
            hardware=" and ".join(dict.fromkeys(map(hardware, training.machines))),
            verdict=_verdict(claim.claimed, interval, others),
            differing=len(others),
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
            logs = f"; its logs say {claim.log_2021} and {claim.log_keras3}" if claim.log_keras3 != NOTHING else ""
            nearest = min(measured.differing for measured in claim.measured)
            chosen = [measured for measured in claim.measured if measured.differing == nearest]
            here = "; ".join(f"is {m.verdict}; here it is {m.value} with {m.settings}" for m in chosen)
            yield Answer(claim.claim, f"{claim.claimed}, as the tutorial claims, {here}{logs}.", "claims")


def hardware(environment: Environment) -> str:
    """The device that computed, and the backend."""
    device = environment.device
    if device == "cpu":
        device = f"{words.number_of(environment.threads, 'thread')} of {environment.cpu}"
    return f"{device}, {environment.backend}"


def _about_growth(curves: Iterable[Curve]) -> Claim:
    """External attention's cost, in time and memory: a training step of the attention alone and of the whole model."""
    measured = tuple(
        Measured(
            settings=f"{sentences.SCOPES[verdict.curve.scope]}, {verdict.what} of one training step",
            value=sentences.measured(verdict),
            hardware=hardware(verdict.curve.environment),
            verdict=verdict.verdict,
        )
        for verdict in growth.verdicts([c for c in curves if (c.variant, c.phase) == ("eanet", "train")])
    )
    return Claim(
        claim="EANet, cost", claimed="linear in the number of patches", measured=measured or _nothing("no step times")
    )
