"""What a run says of the tutorial's claims: a verdict, the claim, and the evidence in a sentence or two.

What stands between two `**` in a text is set in bold type.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from models.attentions.attention import Attention
from models.attentions.external import ExternalAttention
from models.attentions.self import SelfAttention
from models.config import VARIANTS, ModelConfig
from report import growth, sentences, words
from report.accuracy import Study
from report.groups import BASE, OURS
from report.growth import Crossover, Curve, StepTime, What
from report.reproductions import departures_of_both
from report.tested import Comparison, State
from results import growth as growths
from results import published
from results.growth import Growth
from results.metrics import TOP1
from results.published import PartClaim
from results.stats import Interval
from results.store import Run

ABOUT_DIFFERENCE = 0.01
"""The same of the claimed difference of two accuracies."""
Word = Literal["supported", "partly", "contradicted", "inconclusive", "not tested"]
MORE_ACCURATE = "EANet is more accurate than ViT on CIFAR-100"
NOT_TESTED = {"accuracy": "accuracy on CIFAR-100 at its settings", "time": "cost"}
"""What the lead calls a subject."""
HOW_TO_TEST = "python -m benchmarks.run --suite accuracy --profile tutorial --seeds 3 --data-dir DIR"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim with its verdict and evidence; `section` is the page's that has the details. `source` says who claims it,
    where that is not the tutorial."""

    subject: str
    verdict: Word
    claim: str
    evidence: str
    section: str
    source: str = ""


def claims(studies: Sequence[Study], curves: Sequence[Curve], crossovers: Sequence[Crossover]) -> tuple[Claim, ...]:
    """Returns the tutorial's claims: accuracy, at its settings and near them, parameters, and the growth of time and of
    peak memory."""
    return (*_accuracy(studies), _parameters(), *_growth(curves, crossovers))


def part_claims(studies: Sequence[Study]) -> tuple[Claim, ...]:
    """Returns what is said of the parts of external attention, where a suite varies the part, and of their cost."""
    found = [claim for one in published.PART_CLAIMS if (claim := _of_part(one, studies))]
    return (*found, _four_layers()) if found else ()


def _of_part(one: PartClaim, studies: Sequence[Study]) -> Claim | None:
    """The first suite's that varies the part; None where none does."""
    value, base = words.setting(one.value), words.setting(one.base)
    for study in studies:
        for c in study.effects:
            here, there = (dict(side.grid) for side in (c.ours, c.base))
            of_the_part = {one.setting: value}, {one.setting: base}
            if c.metric is TOP1 and c.ours.variant == OURS and (here, there) in (of_the_part, of_the_part[::-1]):
                gain = c.shown if here == of_the_part[0] else _negated(c.shown)
                where = f"{words.dataset(c.ours.first.dataset)}, {words.number_of(c.difference.n, 'seed')}"
                return Claim(
                    subject=one.setting,
                    verdict=_gain(one, gain, c),
                    claim=one.claim,
                    evidence=f"{one.setting} {value}: **{words.difference(TOP1, gain)}** over {base} "
                    f"({where}; {ABOUT_DIFFERENCE * 100:.0f} pp off counts as equal).",
                    section=f"suite-{study.suite}",
                    source=one.source,
                )
    return None


def _gain(one: PartClaim, gain: Interval, comparison: Comparison) -> Word:
    """Whether a gain is as claimed, or else than claimed: that has to be significant among all differences, too."""
    least, most = one.gain
    found = _lies(gain, least - ABOUT_DIFFERENCE, most + ABOUT_DIFFERENCE)
    is_other_way = comparison.is_significant and (gain.estimate < 0 < least or gain.estimate > 0 > most)
    if (found == "contradicted" and not comparison.is_significant) or (found == "supported" and is_other_way):
        return "inconclusive"
    return found


def _negated(interval: Interval) -> Interval:
    low, high = (None if end is None else -end for end in (interval.high, interval.low))
    return Interval(-interval.estimate, low, high, interval.n)


def _lies(interval: Interval, least: float, most: float) -> Word:
    """Whether an interval lies within two bounds, outside, or neither."""
    if interval.low is None or interval.high is None:
        return "inconclusive"
    if least <= interval.low and interval.high <= most:
        return "supported"
    return "contradicted" if interval.high < least or interval.low > most else "inconclusive"


def _four_layers() -> Claim:
    """Counted from the closed forms of multiply-adds."""
    ours, usual = VARIANTS["eanet-factored"].attention, _usual_vit()
    rivals = {"the usual ViT's": usual.attention, "the tutorial's ViT's": VARIANTS[BASE].attention}
    above = {
        name: next(n for n in itertools.count(1) if _attention_adds(ours, n) < _attention_adds(rival, n))
        for name, rival in rivals.items()
    }
    where = {name: f"above N = {patches - 1:,}" if patches > 1 else "at every N" for name, patches in above.items()}
    cheaper = " and ".join(f"than {name} {sizes}" for name, sizes in where.items())
    return Claim(
        subject="four layers",
        verdict="partly" if max(above.values()) > 1 else "contradicted",
        claim="Four linear layers and the widening cost more than self-attention",
        evidence=f"By the closed forms EANet's attention as published takes fewer multiply-adds {cheaper}.",
        section="",
        source=published.FOUR_LAYERS,
    )


def _attention_adds(attention: Attention, patches: int) -> int:
    return attention.cost(VARIANTS[OURS].model.embedding_dim, patches).multiply_adds


def of_the_two(studies: Iterable[Study]) -> list[Comparison]:
    """Returns EANet's comparisons with ViT or another one by accuracy, each once: with the tutorial's ViT first, then
    those on its data, then those that say more, then the nearest to the tutorial's settings.

    Of the suites that ask for more than these two, only what compares EANet with another ViT, and what was trained on
    the tutorial's data.
    """
    found: dict[object, Comparison] = {}
    for study in studies:
        for c in study.variants:
            is_it = c.metric is TOP1 and c.ours.variant == OURS and c.base.attention_kind == SelfAttention().kind
            if is_it and (not study.plan.grid or _is_cifar100(c)):
                found.setdefault(c.hypothesis, c)

    def place(c: Comparison) -> tuple[bool, bool, int, int, int]:
        says_little = {"few": 1, "chance": 2}.get(c.state, 0)
        departed = len(departures_of_both(c))
        return c.base.variant != BASE, not _is_cifar100(c), says_little, departed, -c.difference.n

    return sorted(found.values(), key=place)


def steps_of_the_two(crossovers: Iterable[Crossover]) -> list[Crossover]:
    """Compares EANet's training step with ViT's: of the attention layer, then of the whole model, the first of each."""
    found: dict[str, Crossover] = {}
    for c in crossovers:
        if (c.ours.variant, c.base.variant, c.ours.phase) == (OURS, BASE, "train"):
            found.setdefault(c.ours.scope, c)
    return list(found.values())


def _accuracy(studies: Sequence[Study]) -> Iterator[Claim]:
    """Whether EANet is more accurate, and whether by as much as the tutorial says."""
    compared = [c for c in of_the_two(studies) if c.base.variant == BASE]
    own = [c for c in compared if not departures_of_both(c)]
    if own:
        evidence = " ".join(map(_evidence, own))
    elif compared:
        evidence = f"{_evidence(compared[0])} {_why_not(compared[0])}"
    else:
        evidence = "This run compares no EANet with the tutorial's ViT."
    yield Claim(
        subject="accuracy", verdict=_of_all(own, _is_better), claim=MORE_ACCURATE, evidence=evidence, section="accuracy"
    )
    if own:
        claimed = f"{published.DIFFERENCE * 100:.0f} pp"
        apart = "; ".join(words.difference(TOP1, c.shown) for c in own)
        evidence = f"**{apart}**. Supported within {ABOUT_DIFFERENCE * 100:.0f} pp of the claim."
        yield Claim(
            subject="difference",
            verdict=_of_all(own, _is_as_large),
            claim=f"EANet's lead in accuracy is about {claimed} (43 % vs 41 %)",
            evidence=evidence,
            section="accuracy",
        )
    yield from _near_its_own(studies)


def _near_its_own(studies: Sequence[Study]) -> Iterator[Claim]:
    """What the tutorial's images and training say of its two models with other patches, and of a ViT of usual width."""
    both = of_the_two(studies)
    smaller = [c for c in both if departures_of_both(c) and not _beyond_patches(c)]
    usual = [c for c in both if _is_with_the_usual_vit(c)]
    if smaller:
        yield _of_comparisons("accuracy with other patches", f"{MORE_ACCURATE} {_sizes(smaller)}", smaller, _is_better)
    if usual:
        claim = f"EANet is at least as accurate as the usual ViT on CIFAR-100 {_sizes(usual)} (our question)"
        yield _of_comparisons("accuracy against the usual ViT", claim, usual, _is_at_least_as_good)


Judge = Callable[[Comparison], Word]


def _of_comparisons(subject: str, claim: str, comparisons: Sequence[Comparison], judge: Judge) -> Claim:
    return Claim(
        subject=subject,
        verdict=_of_all(comparisons, judge),
        claim=claim,
        evidence=" ".join(dict.fromkeys(map(_evidence, comparisons))),
        section=f"suite-{comparisons[0].ours.suite}",
    )


def _sizes(comparisons: Iterable[Comparison]) -> str:
    return f"at N = {words.joined([f'{size:,}' for size in sorted({c.ours.first.patches for c in comparisons})])}"


def _beyond_patches(c: Comparison) -> set[str]:
    """Names where a comparison departs from the tutorial in more than its patches."""
    return {name for name in departures_of_both(c) if not name.startswith("patch_size ")}


def _is_with_the_usual_vit(c: Comparison) -> bool:
    """Whether it is, but for the patches and the width of ViT's heads, trained as the tutorial's."""
    return _beyond_patches(c) == {f"key_dim {_usual_width()}"}


def _of_all(comparisons: Iterable[Comparison], judge: Judge) -> Word:
    """What all comparisons say; inconclusive where they disagree."""
    found = {judge(comparison) for comparison in comparisons}
    return found.pop() if len(found) == 1 else "inconclusive" if found else "not tested"


def _is_better(comparison: Comparison) -> Word:
    return "contradicted" if comparison.state == "as good" else _is_at_least_as_good(comparison)


def _is_at_least_as_good(comparison: Comparison) -> Word:
    judged: dict[State, Word] = {"better": "supported", "as good": "supported", "worse": "contradicted"}
    return judged.get(comparison.state, "inconclusive")


def _is_as_large(comparison: Comparison) -> Word:
    return _lies(comparison.shown, published.DIFFERENCE - ABOUT_DIFFERENCE, published.DIFFERENCE + ABOUT_DIFFERENCE)


def _evidence(c: Comparison) -> str:
    ours, base = (words.value_estimate(TOP1, side.mean(TOP1, c.seeds)) for side in (c.ours, c.base))
    return f"**{ours} vs {base}** on {_where(c)}{c.ours.apart}: {c.summary}."


def _where(c: Comparison) -> str:
    """What it was measured on: "digits", "CIFAR-100 at N = 64 after 12 epochs with augmentation corrected"."""
    parts = [words.dataset(c.ours.first.dataset)]
    if _is_cifar100(c):
        patches, epochs = c.ours.first.patches, c.ours.trial.training.epochs
        parts += [f"at N = {patches:,}"] if patches != published.PATCHES else []
        parts += [f"after {words.number_of(epochs, 'epoch')}"] if epochs != published.SETTINGS["epochs"] else []
    parts += [f"with {' and '.join(c.ours.settings)}"] if c.ours.settings else []
    return " ".join(parts)


def _why_not(comparison: Comparison) -> str:
    """Why a comparison tests nothing of the tutorial's accuracy, with what the tutorial's own logs report."""
    if not _is_cifar100(comparison):
        return "The two were not compared on CIFAR-100 (the tutorial: about 43 % vs 41 %)."
    log = next(claim for claim in published.CLAIMS if claim.variant == OURS and claim.figure == TOP1.name)
    logs = " and ".join(f"{value:.1%}".replace("%", " %") for value in (log.log_2021, log.log_keras3) if value)
    departed = ", ".join(departures_of_both(comparison))
    return f"Not the tutorial's settings ({departed}). Its own two logs report {logs} for EANet."


def _parameters() -> Claim:
    """Counted from the closed form, which a test holds against the built models."""
    ours, base = VARIANTS[OURS], VARIANTS[BASE]
    assert isinstance(base.attention, SelfAttention)
    counts = [model.cost().parameters for model in (ours.model, base.model, _usual_vit())]
    against, against_usual = counts[0] / counts[1], counts[0] / counts[2]
    verdict: Word = "partly" if against < 1 < against_usual else "supported" if against < 1 else "contradicted"
    short = [f"{count / 1e3:.0f} k" for count in counts]
    evidence = (
        f"**{short[0]} vs {short[1]} ({against:.0%})**, because the tutorial's ViT heads are "
        f"{base.attention.key_dim // _usual_width()} times as wide as usual. The usual ViT (key_dim "
        f"{_usual_width()}) has {short[2]}: EANet has {against_usual:.0%} of that."
    ).replace("%", " %")
    claim = "EANet has half the parameters: 0.3\u00a0M vs 0.6\u00a0M"
    return Claim(subject="parameters", verdict=verdict, claim=claim, evidence=evidence, section="")


def _usual_vit() -> ModelConfig:
    """The tutorial's ViT with heads of the usual width."""
    return ModelConfig(attention=VARIANTS[BASE].attention.model_copy(update={"key_dim": _usual_width()}))


def _usual_width() -> int:
    """The usual width of a head, dim / heads."""
    model, attention = VARIANTS[BASE].model, VARIANTS[BASE].attention
    assert isinstance(attention, SelfAttention)
    return model.embedding_dim // attention.heads


def _growth(curves: Sequence[Curve], crossovers: Sequence[Crossover]) -> Iterator[Claim]:
    """EANet's cost: that of the attention layer's training step decides, or else that of the whole model's."""
    steps = [c for c in curves if c.phase == "train" and c.variant == OURS]
    of_layer = [c for c in steps if c.scope == "core"] or steps
    claims: dict[What, tuple[str, str, str]] = {
        "time": ("time", "cost", "EANet's cost is linear in the number of patches N"),
        "peak memory": ("memory", "memory", "Its peak memory is linear, too (our question)"),
    }
    found = {v.what: v for v in growth.verdicts(of_layer[:1])}
    mine = [c for c in crossovers if c.ours.phase == "train" and c.ours.variant == OURS and c.base.variant == BASE]
    for what, (subject, section, claim) in claims.items():
        verdict: Word = "not tested"
        evidence = "No training step of EANet was timed in this run."
        if what in found:
            verdict, curve = found[what].verdict, found[what].curve  # type: ignore[assignment]
            evidence = _of_time(curve, mine) if what == "time" else _of_memory(curve, mine)
        yield Claim(subject=subject, verdict=verdict, claim=claim, evidence=evidence, section=section)


def _of_time(curve: Curve, crossovers: Sequence[Crossover]) -> str:
    mine = [c for c in crossovers if c.ours is curve]
    grown = _grown("Time", curve.growth, [c.base.growth for c in mine], growths.upper_half(curve.sizes))
    parts = [grown or f"Not tested: {sentences.unclaimed(curve)}."]
    parts += [f"In this run {_scope(c)} is {_speedups(c)}." for c in mine]
    return " ".join(parts)


def _grown(what: str, ours: Growth | None, rivals: Sequence[Growth | None], sizes: Sequence[int]) -> str:
    """How two costs grow, over which sizes; nothing where that was not tested."""
    if ours is None or not sentences.is_claimable(ours):
        return ""
    theirs = "".join(f"; ViT's as N^{words.plain(grown.slope)}" for grown in rivals if grown)
    share = words.with_interval(ours.quadratic_share, lambda part: words.whole(part * 100), " %")
    over = f"from N = {sizes[0]:,} to {sizes[-1]:,} (quadratic part: {share})"
    return f"{what} grows as **N^{words.plain(ours.slope)}** {over}{theirs}."


def _speedups(c: Crossover, *, with_ends: bool = True) -> str:
    """How many times as fast EANet's step is, at the tutorial's number of patches first, then at the largest."""
    sizes = {published.PATCHES: c.published_ratio, c.largest: c.ratio}
    whose = {published.PATCHES: " (the tutorial's)"}
    return words.joined(
        [
            f"**{words.speedup(ratio, with_ends=with_ends)} at N = {size:,}**{whose.get(size, '')}"
            for size, ratio in sizes.items()
            if ratio
        ]
    )


def _scope(crossover: Crossover) -> str:
    return f"EANet's {sentences.SCOPES[crossover.ours.scope]}"


def _of_memory(curve: Curve, crossovers: Sequence[Crossover]) -> str:
    last = curve.points[-1]
    if last.memory_bytes is None:
        return "Not tested: this backend reports no peak."
    base = next((c.base for c in crossovers if c.ours is curve), None)
    theirs = next((p.memory_bytes for p in base.points if p.patches == last.patches), None) if base else None
    ours = words.mebibytes(last.memory_bytes.estimate)
    both = f"{ours} MiB vs {words.mebibytes(theirs.estimate)} MiB" if theirs else f"{ours} MiB"
    grown = _grown("It", curve.memory, [base.memory] if base else [], growths.upper_half(curve.sizes))
    at = f"**{both}** per training step at N = {last.patches:,}, batch {last.first.batch}."
    return f"{at} {grown or f'Growth not tested: {sentences.unclaimed(curve)}.'}"


def facts(studies: Sequence[Study], crossovers: Sequence[Crossover]) -> list[str]:
    """Returns what a run has found of accuracy and of speed, a sentence each."""
    both = of_the_two(studies)
    found = [_lead_accuracy(c) for c in both if c.base.variant == BASE][:1]
    found += [_lead_accuracy(c) for c in both if _is_with_the_usual_vit(c)][:1]
    found += [f"{_scope(c)} is {_speedups(c, with_ends=False)}." for c in steps_of_the_two(crossovers)]
    return found


def lead(facts: Sequence[str], found: Sequence[Claim]) -> str:
    """Returns the three facts of a run in a few sentences: accuracy, speed, and what was not tested."""
    untested = [NOT_TESTED.get(claim.subject, claim.subject) for claim in found if claim.verdict == "not tested"]
    was = "was" if len(untested) == 1 else "were"
    last = [f"The tutorial's **{words.joined(untested)} {was} not tested**."] if untested else []
    return " ".join([*facts, *last])


def _is_cifar100(comparison: Comparison) -> bool:
    return comparison.ours.trial.dataset == published.SETTINGS["dataset"]


def _lead_accuracy(c: Comparison) -> str:
    where = f"On {_where(c)}"
    low, high, difference = c.shown.low, c.shown.high, words.difference(TOP1, c.shown)
    both = f"{c.ours.name} and {c.base.name}"
    if c.state == "chance":
        return f"{where}, **{both} end at chance**."
    if low is None or high is None:
        return f"{where}, {both} differ by {difference}: **too few seeds for a test**."
    if c.state == "as good":
        return f"{where}, **{both} are equally accurate within {c.within}**: {difference}."
    if c.is_significant:
        return f"{where}, **{c.in_words}** than {c.base.name}: {difference} (95 % CI)."
    ends = " and ".join(f"{abs(end) * 100:.1f} pp {'worse' if end < 0 else 'better'}" for end in (low, high))
    none = f"**no significant accuracy difference** from {c.base.name}"
    return f"{where} we found {none}: EANet is between {ends} (95 % CI)."


def limits(run: Run, studies: Iterable[Study], points: Sequence[StepTime]) -> list[str]:
    """Returns what bounds what the run can say: its images, sizes, processes and device."""
    parts = [
        f"{count:,} test images of {words.dataset(name)}"
        for name, count in sorted({(t.dataset, t.test_images) for t in run.trainings if not t.trial.test_folds})
    ]
    parts += [
        f"each seed tests one of {folds} parts of the images of {words.dataset(name)}"
        for name, folds in sorted({(t.dataset, t.trial.test_folds) for t in run.trainings if t.trial.test_folds})
    ]
    parts += [
        f"{of.duplicates:,} of {sum(of.test_counts):,} test images of {words.dataset(of.name)} are training images, too"
        for of in (run.plan.images if run.plan else ())
        if of.duplicates
    ]
    if run.environments and all(environment.device == "cpu" for environment in run.environments):
        parts.append("no GPU")
    if points and not any(growth.runs_fused(point.first.trial) for point in points):
        parts.append("no fused attention kernel")
    external = [a for point in points if isinstance(a := point.first.trial.attention, ExternalAttention)]
    if any(attention.implementation == "auto" for attention in external):
        parts.append("EANet's products in the cheaper order")
    varied = {setting for suite in (run.plan.suites.values() if run.plan else ()) for setting in suite.grid}
    if run.trainings and "learning_rate" not in varied:
        parts.append("one learning rate for all (suite tuning)")
    trained = sorted({training.first.patches for study in studies for training in study.trainings})
    parts += [f"accuracy measured at N = {_range(trained)}"] if trained else []
    parts += [f"speed at N = {_range([point.patches for point in points])}"] if points else []
    counts = [point.step_seconds.n for point in points]
    parts += [f"{_range(counts)} {'process' if set(counts) == {1} else 'processes'} per size"] if points else []
    return parts


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
