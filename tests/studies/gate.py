"""python -m tests.studies.gate: how often the timing gate is right, measured. Nothing else should compute meanwhile.

`measure` takes real pairs of processes, or runs whole gates, and appends them to FILE with every turn's time; it can be
stopped and run again. `report` resamples gates from all pairs of a kind, prints how they were decided, and what other
rules say of the same times. The kinds:

  A/A           both sides are the same code: every alarm is a false one
  a number      the base compared with an ExternalAttention with real extra work in it, on so many of 256 patches

With --bursts another job computes meanwhile, on one or two cores, for 5 s on average, with pauses of 8 s. With
--in-turns both processes of a pair run one after the other, as before the gate had duets.

A pair takes 20 to 40 s on 2 CPU cores. All of a file is of one machine.

  python -m tests.studies.gate measure study.jsonl.gz --kind A/A --gates 8
  python -m tests.studies.gate measure study.jsonl.gz --kind A/A --gates 8 --bursts
  python -m tests.studies.gate measure study.jsonl.gz --kind 100 --pairs 24
  python -m tests.studies.gate report study.jsonl.gz
"""

import gzip
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.console import Console
from scipy import stats

from benchmarks import gate_own, gate_pairs, gate_programs, regress
from benchmarks.processor import cpu_model
from results.fields import Frozen, Positive, Seconds
from results.gate_verdict import judge
from results.gates import Design, GateVerdict, Pair, Side

SAME_CODE = "A/A"
SLOWED = "core-train-eanet-n256"
CALL = "        compute = self._folded if self.settings.folds(x.shape[-1]) else self._factored\n"
EXTRA = "        x = x + 1e-30 * ops.mean(ops.softmax(ops.exp(x[:, :{patches}])))\n"
DESIGNS = {"default": regress.PULL_REQUEST, "long": regress.LONG}
BUSY = "while True: sum(number * number for number in range(10_000))"
app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


class Turns(Frozen):
    """One pair: which side was first, and each side's mean step of each turn by case, in microseconds."""

    first: Side
    base: dict[str, tuple[Positive, ...]]
    head: dict[str, tuple[Positive, ...]]


class Measured(Frozen):
    """Pairs of one kind: those of a whole gate, in their order, with its decision and seconds, or single ones."""

    kind: str
    bursts: bool
    in_duets: bool
    started: str
    cpu: str
    design: str | None
    decision: str | None
    took_seconds: Seconds
    pairs: tuple[Turns, ...]

    def as_pairs(self) -> list[Pair]:
        return [
            gate_programs.pair(one.first, {"base": one.base, "head": one.head}, self.in_duets) for one in self.pairs
        ]


@app.command(help="Takes pairs, or runs gates, and appends them to FILE.")
def measure(
    file: Path,
    kind: Annotated[str, typer.Option(help="A/A, or on how many of 256 patches the extra work is done.")] = SAME_CODE,
    gate_count: Annotated[int, typer.Option("--gates", help="Whole gates, as a pull request runs them.")] = 0,
    pair_count: Annotated[int, typer.Option("--pairs", help="Single pairs.")] = 0,
    long: Annotated[bool, typer.Option("--long", help="The gates are long ones.")] = False,
    bursts: Annotated[bool, typer.Option("--bursts", help="Another job computes in bursts.")] = False,
    in_turns: Annotated[bool, typer.Option("--in-turns", help="One process after the other.")] = False,
) -> None:
    console, design = Console(), "long" if long else "default"
    cores = None if in_turns else gate_pairs.two_cores()
    with tempfile.TemporaryDirectory(prefix="eanet-study-") as folder, _bursts(bursts):
        trees: dict[Side, Path] = {"base": _copy(Path(folder) / "base"), "head": _copy(Path(folder) / "head")}
        if kind != SAME_CODE:
            slow_down(trees["head"], int(kind))
        sides: dict[Side, str] = {"base": "the base", "head": "the head"}
        compared = gate_own.own_cases(trees, sides, [], Path(folder))
        for number in range(gate_count + pair_count):
            taken: list[Turns] = []

            def take_pair(first: Side, seed: int, taken: list[Turns] = taken) -> Pair:
                times = compared.times(first, cores, seed)
                rounded = {
                    side: {case: tuple(max(1, round(s * 1e6)) for s in turns) for case, turns in of_side.items()}
                    for side, of_side in times.items()
                }
                taken.append(Turns(first=first, **rounded))
                return gate_programs.pair(first, times, in_duet=cores is not None)

            is_gate = number < gate_count
            console.print(f"{kind}, {'gate' if is_gate else 'pair'} {number + 1}", highlight=False)
            started, began, decision = _now(), time.monotonic(), None
            if is_gate:
                decision = regress.measure(console, take_pair, DESIGNS[design])[2].decision
                console.print(f"{decision} in {time.monotonic() - began:.0f} s", highlight=False)
            else:
                take_pair(random.choice(regress.SIDES), random.randrange(2**31))
            measured = Measured(
                kind=kind,
                bursts=bursts,
                in_duets=cores is not None,
                started=started,
                cpu=cpu_model(),
                design=design if is_gate else None,
                decision=decision,
                took_seconds=time.monotonic() - began,
                pairs=tuple(taken),
            )
            with gzip.open(file, "at", encoding="utf-8") as lines:
                lines.write(measured.model_dump_json() + "\n")


@contextmanager
def _bursts(wanted: bool) -> Iterator[None]:
    """Lets a process start and end others that compute, while the block runs."""
    if not wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, __file__, "bursts"])
    try:
        yield
    finally:
        other.terminate()
        other.wait()


@app.command(hidden=True)
def bursts() -> None:
    """Computes in bursts until it is ended."""
    import signal

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    while True:
        time.sleep(random.expovariate(1 / 8))
        busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(random.choice((1, 2)))]
        try:
            time.sleep(random.expovariate(1 / 5))
        finally:
            for process in busy:
                process.kill()
                process.wait()


def slow_down(tree: Path, patches: int) -> None:
    """Real work for ExternalAttention that changes no output: exponentials and a softmax over some of the patches."""
    file = tree / "models" / "layers" / "external.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(CALL) == 1
    file.write_text(text.replace(CALL, EXTRA.format(patches=patches) + CALL), encoding="utf-8")


def _copy(tree: Path) -> Path:
    """The code of this tree, without what it has measured."""
    for room in ("models", "benchmarks", "results"):
        shutil.copytree(
            regress.ROOT / room, tree / room, ignore=shutil.ignore_patterns("runs", "reference", "__pycache__")
        )
    return tree


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(file: Path) -> list[Measured]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found = [Measured.model_validate_json(line) for line in lines]
    if len(cpus := {measured.cpu for measured in found}) > 1:
        raise typer.BadParameter(f"{file} is of several machines ({'; '.join(sorted(cpus))}): name another file")
    return found


class Pool(NamedTuple):
    """All pairs taken in one way."""

    kind: str
    bursts: bool
    in_duets: bool


@app.command(help="Resamples gates from the pairs of FILE and prints how they were decided, and what other rules say.")
def report(
    file: Path,
    resampled: Annotated[int, typer.Option("--gates", help="How many gates to resample of each kind.")] = 1000,
) -> None:
    found = _read(file)
    pools: dict[Pool, list[tuple[Turns, Pair]]] = defaultdict(list)
    for measured in found:
        pool = Pool(measured.kind, measured.bursts, measured.in_duets)
        pools[pool] += zip(measured.pairs, measured.as_pairs(), strict=True)
    _print_whole_gates(found)
    hours = Counter(measured.started[:13] for measured in found for _ in measured.pairs)
    each = ", ".join(f"{hour} h {count}" for hour, count in hours.items())
    print(f"\n{sum(hours.values())} pairs in {len(hours)} hours: {each}")
    for pool, pairs in sorted(pools.items()):
        _print_spread(pool, [pair for _, pair in pairs])
    for pool, pairs in sorted(pools.items()):
        if pool.in_duets:
            for name, design in DESIGNS.items():
                _print_resampled(pool, name, design, [pair for _, pair in pairs], resampled)
    for pool, pairs in sorted(pools.items()):
        if pool.in_duets:
            _print_other_rules(pool, [steps for steps, _ in pairs], resampled)


def _print_whole_gates(found: Sequence[Measured]) -> None:
    gates: dict[tuple[str, bool, str], list[Measured]] = defaultdict(list)
    for measured in found:
        if measured.design:
            gates[measured.kind, measured.bursts, measured.design].append(measured)
    print("whole gates")
    for (kind, with_bursts, design), of_kind in sorted(gates.items()):
        decisions = ", ".join(f"{name} {n}" for name, n in sorted(Counter(m.decision for m in of_kind).items()))
        minutes = sorted(measured.took_seconds / 60 for measured in of_kind)
        span = f"{minutes[0]:.1f} to {minutes[-1]:.1f} min, median {statistics.median(minutes):.1f}"
        print(f"  {kind}{', bursts' * with_bursts}, {design}: {decisions}; {span}")


def _print_spread(pool: Pool, pairs: Sequence[Pair]) -> None:
    way = "duets" if pool.in_duets else "in turns"
    print(
        f"\n{pool.kind}{', bursts' * pool.bursts}, {way}: {len(pairs)} pairs; ratio, and standard deviation of its log"
    )
    for case in pairs[0].ratios:
        logs = [math.log(pair.ratios[case]) for pair in pairs]
        half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0
        ends = (math.exp(statistics.mean(logs) + sign * half) for sign in (-1, 1))
        spread = f"{statistics.stdev(logs):.4f}" if len(logs) > 1 else "unknown"
        print(f"  {case}: {math.exp(statistics.mean(logs)):.4f} [{', '.join(f'{end:.4f}' for end in ends)}], {spread}")


def _print_resampled(pool: Pool, name: str, design: Design, pairs: Sequence[Pair], count: int) -> None:
    """Prints the fractions of resampled gates, with intervals over the pairs: each gate set draws its own from them."""
    swaps = pool.kind == SAME_CODE
    parts: list[Counter[str]] = []
    for outer in range(OUTER):
        chance = random.Random(outer)
        drawn = list(pairs) if outer == 0 else chance.choices(pairs, k=len(pairs))
        here = Counter[str]()
        for _ in range(count if outer == 0 else INNER):
            verdict, taken = resample(design, drawn, chance, swaps)
            here[verdict.decision] += 1
            here["slowed found"] += any(c.case == SLOWED and c.verdict == "slower" for c in verdict.cases)
            here["ViT flagged"] += any("vit" in c.case and c.verdict == "slower" for c in verdict.cases)
            here["pairs"] += taken
        size = count if outer == 0 else INNER
        parts.append(Counter({what: number / size for what, number in here.items()}))
    print(f"\n{pool.kind}{', bursts' * pool.bursts}, {name}: {count} gates from {len(pairs)} pairs")
    for what in ("slower", "inconclusive", "slowed found", "ViT flagged"):
        low, high = np.quantile([part[what] for part in parts[1:]], (0.025, 0.975))
        print(f"  {what}: {parts[0][what]:.1%} [{low:.1%}, {high:.1%}]")
    print(f"  pairs a gate: {parts[0]['pairs']:.1f}")


OUTER, INNER = 40, 40
"""Sets of pairs drawn for an interval, and gates of each."""


def resample(design: Design, pairs: Sequence[Pair], chance: random.Random, swaps: bool) -> tuple[GateVerdict, int]:
    """Decides a gate of pairs that are drawn with replacement, look by look and try by try as a real one.

    Where both sides are the same code chance `swaps` them, so that what these pairs differ by is no part of it.
    """
    taken = 0
    for _ in range(design.tries):
        drawn: list[Pair] = []
        for look, count in enumerate(design.looks):
            new = chance.choices(pairs, k=count - len(drawn))
            drawn += [_swapped(pair) if swaps and chance.random() < 0.5 else pair for pair in new]
            verdict = judge(drawn, design, look)
            if verdict.decision != "go on":
                break
        taken += len(drawn)
        if verdict.decision != "inconclusive":
            break
    return verdict, taken


def _swapped(pair: Pair) -> Pair:
    """The pair with its base for its head."""
    ratios = {case: 1 / ratio for case, ratio in pair.ratios.items()}
    return pair.model_copy(update={"base": pair.head, "head": pair.base, "ratios": ratios})


Values = np.ndarray
Rule = Callable[[list[Values], list[Values]], bool]
"""Whether a case is slower, from the steps of some processes of the base and of the head."""


def _threshold(most: float) -> Rule:
    return lambda base, head: bool(np.mean(head[0]) / np.mean(base[0]) > most)


def _asv(base: list[Values], head: list[Values]) -> bool:
    """asv's rule: medians of all values differ by its factor, and the Mann-Whitney test by its p of 0.002."""
    before, after = np.concatenate(base), np.concatenate(head)
    return bool(np.median(after) / np.median(before) > 1.1) and stats.mannwhitneyu(before, after).pvalue < 0.002


def _pooled_t(base: list[Values], head: list[Values]) -> bool:
    before, after = np.concatenate(base), np.concatenate(head)
    return bool(stats.ttest_ind(after, before, equal_var=False, alternative="greater").pvalue < 0.01)


RULES: dict[str, tuple[int, Rule]] = {
    "pytest-benchmark, --benchmark-compare-fail=mean:5%": (1, _threshold(1.05)),
    "pytest-benchmark, --benchmark-compare-fail=mean:10%": (1, _threshold(1.10)),
    "github-action-benchmark, alert-threshold 200% (its default)": (1, _threshold(2)),
    "asv continuous, factor 1.1 (its default), 2 processes": (2, _asv),
    "t-test over all values pooled, p < 0.01, 6 processes": (6, _pooled_t),
}
"""Name -> processes a side, and the rule. Processes of the head are of other pairs than the base's: they ran later."""


def _print_other_rules(pool: Pool, pairs: Sequence[Turns], count: int) -> None:
    print(f"\n{pool.kind}{', bursts' * pool.bursts}: what other rules say of a gate of all cases")
    for name, (processes, rule) in RULES.items():
        alarms = found = 0
        for seed in range(count):
            chance = random.Random(seed)
            drawn = chance.sample(pairs, min(2 * processes, len(pairs)))
            base, head = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
            swap = pool.kind == SAME_CODE and chance.random() < 0.5
            slower = {
                case: rule(
                    [np.asarray((one.head if swap else one.base)[case]) for one in base],
                    [np.asarray((one.base if swap else one.head)[case]) for one in head],
                )
                for case in pairs[0].base
            }
            alarms += any(is_slower for case, is_slower in slower.items() if "vit" in case or pool.kind == SAME_CODE)
            found += slower[SLOWED]
        print(f"  {name}: alarm in a case of the same code {alarms / count:.0%}; {SLOWED} slower {found / count:.0%}")


if __name__ == "__main__":
    app()
