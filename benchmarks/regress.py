"""Runs the timing gate, `python -m benchmarks.regress BASE`: is a step of the working tree slower than at BASE?"""

import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

import results
from benchmarks import estimate, worktree
from benchmarks.environment import isolated, worker_variables
from benchmarks.gate_counts import Counted, changed_counts, changed_dependencies, compared_cases
from benchmarks.processor import cpu_model
from benchmarks.stopwatch import Timing
from benchmarks.suite import InputError, require_once
from results import gates, places
from results.gates import Block, Design, Gate, GateVerdict, Machine, Side
from results.printable import printable

ROOT = Path(__file__).parent.parent
FOLDER = Path(results.__file__).parent / "runs" / "gate"
PROCESS = Path(__file__).with_name("gate_process.py")
BACKEND = "tensorflow"
PROCESS_TIMEOUT_SECONDS = 600
PLAIN_WIDTH = 150
"""Columns of a log, in which the table shall not be cut."""
THREADS = 1
"""On a shared machine two threads alternate every few seconds between two speeds, a factor of 1.5 apart; one thread
does not (docs/timing-gate.md)."""

PULL_REQUEST = Design(
    looks=(10, 14, 20), alphas=(0.002, 0.003, 0.005), floor=0.05, detectable=0.10, steps=30, most_seconds=540
)
LONG = Design(
    looks=(16, 32, 48), alphas=(0.002, 0.003, 0.005), floor=0.02, detectable=0.05, steps=30, most_seconds=1740
)
STATUS = {"clean": 0, "slower": 1, "inconclusive": 3}
UNEXPECTED = 70
"""Python's own status for an exception, 1, would mean a significant slowdown."""

HELP = """Compares the step times of the working tree with those of BASE, a commit, branch or tag, on this machine.

Fresh processes of both sides alternate, in blocks of four; a one-sided paired t-test with Holm's adjustment over the
cases. Takes 4 to 9 minutes on 2 CPU cores, --long up to 21. Nothing else should compute meanwhile.

Exit status: 0 no significant slowdown, 1 a slowdown is significant and at least the floor, 2 wrong usage or input,
3 inconclusive (the machine is too noisy).

\b
Examples:
  python -m benchmarks.regress main
  python -m benchmarks.regress HEAD~1 --long
  python -m benchmarks.regress main --case core-train-eanet-n256 --floor 3
  python -m benchmarks.regress main --record ../history.jsonl
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def command(
    base: Annotated[str, typer.Argument(help="Commit, branch or tag that the working tree is compared with.")],
    long: Annotated[bool, typer.Option("--long", help="More pairs, and a floor of 2 %.")] = False,
    case: Annotated[list[str], typer.Option(help="Only this case; may be given again.")] = [],  # noqa: B006
    floor: Annotated[
        float | None,
        typer.Option(help="Percent below which a slowdown does not fail; else 5, or 2 with --long.", min=0, max=100),
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Append the result to this JSON-lines history.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for gate.json, gate.md and report.html.")] = FOLDER,
    at: Annotated[
        Path | None,
        typer.Option("--worktree", help="Where to check BASE out; else in a temporary folder. It is removed again."),
    ] = None,
) -> None:
    design = LONG if long else PULL_REQUEST
    if floor is not None:
        if floor / 100 >= design.detectable:
            most = f"{design.detectable:.0%}, which the gate must be able to see"
            raise InputError(f"--floor {floor:g} is not below {most}: every gate would be inconclusive")
        design = design.model_copy(update={"floor": floor / 100})
    _prepare(out, record)
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with worktree.checked_out(base, ROOT, at) as (tree, commit):
        trees: dict[Side, Path] = {"base": tree, "head": ROOT}
        sides: dict[Side, str] = {"base": f"{base} ({commit[:7]})", "head": "the working tree"}
        head = worktree.state(ROOT)
        if head == worktree.State(commit, "", ""):
            raise InputError(f"BASE {base!r} is the working tree itself: there is nothing to compare")
        counted = {side: process(COUNTS, trees[side], sides[side]) for side in trees}
        names = compared_cases(counted, case, sides)
        changes = [*changed_counts(counted, names), *changed_dependencies(tree, ROOT)]
        blocks, verdict = measure(console, trees, sides, names, design)
        if worktree.state(ROOT) != head:
            raise InputError("the working tree changed while it was measured: leave it alone and run the gate again")
    gate = Gate(
        base=base,
        base_commit=commit,
        head_commit=head.commit,
        dirty=bool(head.status),
        command=places.command("benchmarks.regress", sys.argv[1:], ROOT),
        started=started,
        machine=machine(),
        design=design,
        blocks=tuple(blocks),
        changes=tuple(changes),
        verdict=verdict,
    )
    show(console, gate)
    gates.write(out, gate)
    if record is not None:
        gates.append(record, gate)
    _report(out)
    raise typer.Exit(STATUS[verdict.decision])


def _prepare(out: Path, record: Path | None) -> None:
    """Finds what cannot be read or written before anything is measured, and removes an earlier gate's files."""
    if record is not None:
        gates.read_history(record)
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("ab"):
            pass
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out):
        pass
    for name in (gates.FILE, "gate.md", "report.html"):
        (out / name).unlink(missing_ok=True)


def machine() -> Machine:
    """Describes what a gate measures on here."""
    return Machine(
        cpu=cpu_model(),
        threads=THREADS,
        python=platform.python_version(),
        versions={name: version(name) for name in ("keras", BACKEND, "numpy")},
    )


Answer = TypeVar("Answer")
COUNTS = TypeAdapter(dict[str, Counted])
TIMES = TypeAdapter(dict[str, Timing])


def process(kind: TypeAdapter[Answer], tree: Path, name: str, *asked: str) -> Answer:
    """Asks one fresh process about the cases of a tree. Raises `InputError` where it cannot be measured."""
    variables = isolated(os.environ) | worker_variables(BACKEND, THREADS) | {"PYTHONPATH": str(tree)}
    with tempfile.TemporaryDirectory() as keras_home, tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(PROCESS), *asked],
                cwd=tree,
                env=variables | {"KERAS_HOME": keras_home},  # Keras may refuse the user's keras.json
                stdout=subprocess.PIPE,
                stderr=errors,
                timeout=PROCESS_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{name} cannot be measured: no answer in {PROCESS_TIMEOUT_SECONDS} s") from None
        errors.seek(0)
        printed = errors.read().strip().splitlines() or [f"exit {done.returncode}"]
    if done.returncode:
        raise InputError(f"{name} cannot be measured: {printed[-1].strip()}")
    try:
        return kind.validate_json(done.stdout)
    except ValueError:
        raise InputError(f"{name} cannot be measured: its process ended without an answer") from None


def measure(
    console: Console, trees: Mapping[Side, Path], sides: Mapping[Side, str], names: Sequence[str], design: Design
) -> tuple[list[Block], GateVerdict]:
    """Times blocks of four processes until an interim analysis decides."""
    from results.gate_verdict import judge  # scipy: not for --help

    order = random.Random()
    blocks: list[Block] = []
    began, most = time.monotonic(), 2 * design.looks[-1]

    def is_late() -> bool:
        """Whether another block like those before would end after the design's time."""
        count = len(blocks)
        return count >= 2 and (time.monotonic() - began) * (count + 1) / count > design.most_seconds

    for look, pairs in enumerate(design.looks):
        while 2 * len(blocks) < pairs and not (late := is_late()):
            turns: tuple[Side, ...] = order.choice((("base", "head", "head", "base"), ("head", "base", "base", "head")))
            seconds = []
            for side in turns:
                seed = str(order.randrange(2**31))
                timed = process(TIMES, trees[side], sides[side], seed, str(design.steps), *names)
                seconds.append({name: statistics.median(timed[name].samples_seconds) for name in names})
            blocks.append(Block(sides=turns, seconds=tuple(seconds), swapped=order.random() < 0.5))
            done = 4 * len(blocks)
            left = (time.monotonic() - began) / done * (most - done)
            console.print(f"[{done}/{most}] processes; at most {estimate.words(left)} left", highlight=False)
        so_far = design if not late else design.model_copy(update={"looks": design.looks[: look + 1]})
        verdict = judge(gates.pairs(blocks), gates.same_code_pairs(blocks), so_far, look)
        if verdict.decision != "go on":
            break
    return blocks, verdict


def show(console: Console, gate: Gate) -> None:
    """Prints the table, what changed without a clock, and the verdict in a sentence."""
    table = Table("case", "base", "here", "ratio", "95 % interval", "p", "minimum detectable", "verdict", box=None)
    for case in gate.verdict.cases:
        table.add_row(
            case.case,
            f"{case.base_seconds * 1e3:.3g} ms",
            f"{case.head_seconds * 1e3:.3g} ms",
            f"{case.ratio:.3f}",
            f"[{case.low:.3f}, {case.high:.3f}]".replace("[", "\\["),
            f"{case.p_value:.2g}",
            f"{case.detectable:.1%}",
            case.verdict,
        )
    console.print(table)
    for change in gate.changes:
        console.print(f"changed, without any clock: {change}", highlight=False, soft_wrap=True)
    console.print(gates.sentence(gate), highlight=False, soft_wrap=True)


def _report(folder: Path) -> None:
    """Builds the page and the Markdown in a process, where the report's libraries may load."""
    done = subprocess.run([sys.executable, "-m", "report", str(folder.resolve()), "--quiet"], cwd=ROOT, check=False)
    if done.returncode:
        print(f"the page could not be built; all numbers are in {folder / gates.FILE}", file=sys.stderr)


def main() -> int:
    """Runs the command and returns its exit status."""
    with suppress(ValueError):  # not in the main thread
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    try:
        require_once(sys.argv[1:], ("--case",))
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message()
    except (InputError, gates.GateError, OSError) as error:
        message = str(error)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted: nothing was decided, and the worktree is removed", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        return UNEXPECTED
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
