"""python -m tests.studies.gate: how often the timing gate is right, measured. Nothing else should compute meanwhile.

`measure` runs real gates and appends their blocks of processes to a JSON-lines file; it can be stopped and run again.
`report` resamples gates from all blocks of a kind and prints how they were decided. The kinds:

  A/A           both sides are the same code: every alarm is a false one
  a number      the base against an ExternalAttention with real extra work in it, on so many of 256 patches

About 13 s a process on 2 CPU cores, four processes a block; 30 blocks, 60 pairs, take 26 minutes. All of a file is of
one machine.

  python -m tests.studies.gate measure study.jsonl --kind A/A --gates 8
  python -m tests.studies.gate measure study.jsonl --kind A/A --blocks 60
  python -m tests.studies.gate measure study.jsonl --kind 184 --blocks 12
  python -m tests.studies.gate report study.jsonl
"""

import math
import random
import shutil
import statistics
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import regress
from benchmarks.cases import gate_cases
from results import gates
from results.gate_verdict import judge
from results.gates import Block, Design, GateVerdict, Machine, Side
from results.records import Frozen
from results.stats import exponential, mean_interval

SAME_CODE = "A/A"
SLOWED = "core-train-eanet-n256"
CALL = "        compute = self._folded if self.settings.folds(x.shape[-1]) else self._factored\n"
EXTRA = "        x = x + 1e-30 * ops.mean(ops.softmax(ops.exp(x[:, :{patches}])))\n"
app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


class Measured(Frozen):
    """Blocks of one kind: those of a whole gate with its decision, or single ones."""

    kind: str
    started: str
    machine: Machine
    steps: int
    decision: str | None
    blocks: tuple[Block, ...]


@app.command(help="Runs gates, or as many blocks as are missing, and appends them to FILE.")
def measure(
    file: Path,
    kind: Annotated[str, typer.Option(help="A/A, or on how many of 256 patches the extra work is done.")] = SAME_CODE,
    gate_count: Annotated[int, typer.Option("--gates", help="Whole gates, as a pull request runs them.")] = 0,
    block_count: Annotated[int, typer.Option("--blocks", help="Blocks of the kind that the file shall have.")] = 0,
) -> None:
    console = Console()
    names = list(gate_cases())
    one_block = Design(looks=(2,), alphas=(0.5,), floor=0, detectable=99, steps=regress.PULL_REQUEST.steps)
    with tempfile.TemporaryDirectory(prefix="eanet-study-") as folder:
        trees: dict[Side, Path] = {"base": _copy(Path(folder) / "base"), "head": _copy(Path(folder) / "head")}
        if kind != SAME_CODE:
            slow_down(trees["head"], int(kind))
        sides: dict[Side, str] = {"base": "the base", "head": "what is held against it"}
        for number in range(gate_count):
            console.print(f"gate {number + 1} of {gate_count}, {kind}", highlight=False)
            started = _now()
            blocks, verdict = regress.measure(console, trees, sides, names, regress.PULL_REQUEST)
            _append(file, kind, started, verdict.decision, blocks)
        while (there := len(_blocks(file).get(kind, []))) < block_count:
            console.print(f"block {there + 1} of {block_count}, {kind}", highlight=False)
            started = _now()
            blocks, _ = regress.measure(Console(quiet=True), trees, sides, names, one_block)
            _append(file, kind, started, None, blocks)


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


def _append(file: Path, kind: str, started: str, decision: str | None, blocks: list[Block]) -> None:
    measured = Measured(
        kind=kind,
        started=started,
        machine=regress.machine(),
        steps=regress.PULL_REQUEST.steps,
        decision=decision,
        blocks=tuple(blocks),
    )
    with file.open("a", encoding="utf-8") as lines:
        lines.write(measured.model_dump_json() + "\n")


def _read(file: Path) -> list[Measured]:
    if not file.exists():
        return []
    return [Measured.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _blocks(file: Path) -> dict[str, list[Block]]:
    """Kind -> its blocks. A file of several machines or numbers of steps is wrong input: no mixture is a gate's."""
    found: dict[str, list[Block]] = defaultdict(list)
    places = set()
    for measured in _read(file):
        found[measured.kind] += measured.blocks
        places.add(f"{measured.machine.cpu}, {measured.steps} steps")
    if len(places) > 1:
        ways = "; ".join(sorted(places))
        raise typer.BadParameter(f"{file} was measured in more than one way ({ways}): name another file")
    return found


@app.command(help="Resamples gates from the blocks of FILE and prints how they were decided.")
def report(
    file: Path,
    resampled: Annotated[int, typer.Option("--gates", help="How many gates to resample of each kind.")] = 1000,
) -> None:
    whole = Counter((m.kind, m.decision) for m in _read(file) if m.decision is not None)
    print("whole gates: " + "; ".join(f"{kind} {decision}: {n}" for (kind, decision), n in sorted(whole.items())))
    for kind, blocks in _blocks(file).items():
        print(f"\n{kind}: {2 * len(blocks)} pairs of processes")
        for case, values in gates.pairs(blocks).items():
            ratio, spread = _ratio(values)
            print(f"  {case}: {ratio}, log-ratios of pairs spread by {spread:.3f}")
        for name, design in (("pull request", regress.PULL_REQUEST), ("long", regress.LONG)):
            _print_resampled(name, design, blocks, resampled, swaps=kind == SAME_CODE)


def _ratio(pairs: list[tuple[float, float]]) -> tuple[str, float]:
    logs = [math.log(head / base) for base, head in pairs]
    mean = exponential(mean_interval(logs))
    return f"{mean.estimate:.3f} [{mean.low:.3f}, {mean.high:.3f}]", statistics.stdev(logs)


def _print_resampled(name: str, design: Design, blocks: list[Block], count: int, swaps: bool) -> None:
    verdicts = [resample(design, blocks, random.Random(seed), swaps) for seed in range(count)]
    decisions = Counter(verdict.decision for verdict in verdicts)
    flagged = Counter(case.case for verdict in verdicts for case in verdict.cases if case.verdict == "slower")
    unstable = sum(bool(verdict.unstable) for verdict in verdicts)
    found = sum(any(c.case == SLOWED and c.verdict == "slower" for c in v.cases) and not v.unstable for v in verdicts)
    shares = ", ".join(f"{decision} {n / count:.1%}" for decision, n in sorted(decisions.items()))
    cases = ", ".join(f"{case} {n / count:.1%}" for case, n in sorted(flagged.items())) or "none"
    early = sum(v.cases[0].pairs == design.looks[0] for v in verdicts) / count
    print(
        f"  {count} gates, {name}: {shares}; the same code differs in {unstable / count:.1%}; decided at the first "
        f"look {early:.0%}; {SLOWED} found in {found / count:.1%}; flagged: {cases}"
    )


def resample(design: Design, blocks: list[Block], chance: random.Random, swaps: bool) -> GateVerdict:
    """A gate of blocks that are drawn from all of them with replacement, look by look as a real one.

    Where both sides are the same code chance `swaps` them, so that what these blocks differ by is no part of it.
    """
    drawn: list[Block] = []
    for look, pairs in enumerate(design.looks):
        new = chance.choices(blocks, k=pairs // 2 - len(drawn))
        drawn += [_swapped(block) if swaps and chance.random() < 0.5 else block for block in new]
        verdict = judge(gates.pairs(drawn), gates.same_code_pairs(drawn), design, look)
        if verdict.decision != "go on":
            break
    return verdict


def _swapped(block: Block) -> Block:
    """The block with its base for its head."""
    return block.model_copy(update={"sides": tuple("head" if side == "base" else "base" for side in block.sides)})


if __name__ == "__main__":
    app()
