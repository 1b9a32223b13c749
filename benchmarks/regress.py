"""Runs the timing gate, `python -m benchmarks.regress BASE`: is the working tree slower than BASE?"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import results
from benchmarks import gate_command, gate_pairs, gate_programs, worktree
from benchmarks.gate_command import Command
from benchmarks.gate_pairs import ProgramError
from benchmarks.inputs import InputError, require_once
from benchmarks.processor import available_threads, cpu_model
from results import gates, places
from results.gates import Decision, Design, Gate, GateVerdict, Machine, Pair, Side
from results.printable import duration, measured, printable

ROOT = Path(__file__).parent.parent
FOLDER = Path(results.__file__).parent / "runs" / "gate"
SHOWN, OF_COMMAND = Path("results", "runs", "gate"), Path("timing-gate")
PLAIN_WIDTH = 150
"""Columns of a log, in which the table shall not be cut."""
PULL_REQUEST = Design(
    looks=(6, 8, 11), alphas=(0.001, 0.0015, 0.0025), floor=0.025, detectable=0.05, most_seconds=300, tries=2
)
LONG = Design(
    looks=(8, 12, 17), alphas=(0.001, 0.0015, 0.0025), floor=0.015, detectable=0.03, most_seconds=600, tries=2
)
PRINTED = "output.txt"
"""File of the results' folder with all that a program printed that failed."""
SIDES: tuple[Side, Side] = ("base", "head")
HEAD = "the working tree"
FEWEST_PAIRS = 4
"""Fewer show nothing, however late it is."""
UNEXPECTED = 70
"""Python's own status for an exception, 1, would mean a significant slowdown."""
SKIP, ABORT = 125, 255
"""What `git bisect run` takes for "this commit cannot be tested", and for "stop": any other below 128 means "bad"."""

HELP = """Compares the speed of the working tree with that of BASE, a commit, branch or tag, on this machine.

Without --command it times this project's steps; with it, any program. Pairs of fresh processes, one of each side, run
at once on a core each. A one-sided paired t-test decides, with Holm's adjustment over the cases. This project's cases
take 3 to 5 minutes, --long 4 to 9, at most about twice that. Nothing else should compute meanwhile.

Exit status: 0 no slowdown is significant and at least the floor, 1 one is, 2 wrong usage or input, 3 inconclusive (the
machine is too noisy). With --bisect: 125 this commit cannot be tested, 255 nothing can be.

\b
Examples:
  python -m benchmarks.regress main
  python -m benchmarks.regress HEAD~1 --long
  python -m benchmarks.regress main --case core-train-eanet-n256 --floor 5
  python -m benchmarks.regress main --record ../history.jsonl
  python -P -m benchmarks.regress main --command "python bench.py" --setup "pip install -e ."
  git bisect run python -P -m benchmarks.regress v1.0 --bisect --command "python bench.py"
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Inconclusive(StrEnum):
    """What an inconclusive gate does: exit with 0 or 3, or with 0 and a warning."""

    PASS, FAIL, NEUTRAL = "pass", "fail", "neutral"


@app.command(help=HELP)
def command(
    base: Annotated[str, typer.Argument(help="Commit, branch or tag that the working tree is compared with.")],
    long: Annotated[bool, typer.Option("--long", help="More pairs: detects 3 %, not 5 %.")] = False,
    case: Annotated[list[str], typer.Option(help="Only this case; may be given again.")] = [],  # noqa: B006
    program: Annotated[
        str | None,
        typer.Option(
            "--command",
            help='Time this shell command instead, in the current folder\'s repository; it prints {"case": seconds}.',
        ),
    ] = None,
    setup: Annotated[
        str | None,
        typer.Option(help="Shell command to run once in each tree, in a virtual environment of its own."),
    ] = None,
    in_turns: Annotated[
        bool, typer.Option("--in-turns", help="Never two processes at once; each may use all cores. Slower.")
    ] = False,
    floor: Annotated[
        float | None,
        typer.Option(
            help="A smaller slowdown, in percent, does not fail; else 2.5, or 1.5 with --long.", min=0, max=100
        ),
    ] = None,
    inconclusive: Annotated[
        Inconclusive,
        typer.Option(help="An inconclusive gate exits with 0 (pass), 3 (fail), or 0 and a warning (neutral)."),
    ] = Inconclusive.FAIL,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="For git bisect run: exit with 125 where this commit cannot be tested.")
    ] = False,
    record: Annotated[Path | None, typer.Option(help="Append the result to this JSON-lines history.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder for the results; else {SHOWN}, or {OF_COMMAND} with --command."),
    ] = None,
    at: Annotated[
        Path | None,
        typer.Option("--worktree", help="Where to check BASE out; else in a temporary folder. It is removed again."),
    ] = None,
) -> None:
    if setup is not None and program is None:
        raise InputError("--setup belongs to --command: this project's own cases need none")
    design = LONG if long else PULL_REQUEST
    if floor is not None:
        wider = {"floor": floor / 100, "detectable": max(design.detectable, 2 * floor / 100)}
        design = design.model_copy(update=wider)
    out = out or (FOLDER if program is None else OF_COMMAND)
    _prepare(out, record)
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    root = ROOT if program is None else worktree.top(Path.cwd())
    with (
        _kept_output(out),
        worktree.checked_out(base, root, at) as (tree, commit),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
    ):
        trees: dict[Side, Path] = {"base": tree, "head": root}
        sides: dict[Side, str] = {"base": f"{base} ({commit[:7]})", "head": HEAD}
        before = worktree.state(root)
        if before == worktree.State(commit, "", ""):
            raise InputError(f"BASE {base!r} is the working tree itself: there is nothing to compare")
        cores = None if in_turns else gate_pairs.two_cores()
        for note in _notes(before, commit, tree, cores, in_turns):
            console.print(note, highlight=False, soft_wrap=True)
        if program is None:
            from benchmarks import gate_own  # this project's plans: not for any program

            compared = gate_own.own_cases(trees, sides, case, Path(scratch))
        else:
            given = Command(program, setup, Path.cwd().relative_to(root))
            compared = gate_command.cases_of_command(given, trees, sides, case, Path(scratch))
        head = worktree.state(root)  # a setup may write into it

        def take_pair(first: Side, seed: int) -> Pair:
            return gate_programs.pair(first, compared.times(first, cores, seed), in_duet=cores is not None)

        pairs, earlier, verdict = measure(console, take_pair, design)
        if worktree.state(root).code != head.code:
            raise InputError("the working tree changed while it was measured: leave it alone and run the gate again")
    threads = available_threads() if program is not None and cores is None else 1
    gate = Gate(
        base=base,
        base_commit=commit,
        head_commit=head.commit,
        dirty=bool(before.status),
        command=places.command("benchmarks.regress", sys.argv[1:], root),
        started=started,
        machine=Machine(cpu=cpu_model(), threads=threads, python=compared.python, versions=dict(compared.versions)),
        design=design,
        in_duets=cores is not None,
        pairs=tuple(pairs),
        earlier=tuple(earlier),
        changes=compared.changes,
        verdict=verdict,
    )
    show(console, gate)
    gates.write(out, gate)
    if record is not None:
        gates.append(record, gate)
    _report(out)
    annotate(gate, inconclusive)
    raise typer.Exit(status(verdict.decision, inconclusive, bisect))


@contextmanager
def _kept_output(out: Path) -> Iterator[None]:
    """Writes what a program printed that failed beside the results, where it is more than the line that is reported."""
    try:
        yield
    except ProgramError as error:
        if len(error.printed.strip().splitlines()) < 2:
            raise
        (out / PRINTED).write_bytes(error.printed)
        raise ProgramError(error.side, f"{error.why} (all that it printed: {out / PRINTED})") from None


def _notes(
    head: worktree.State, base_commit: str, base: Path, cores: tuple[int, int] | None, in_turns: bool
) -> Iterator[str]:
    """Says how pairs run, and what may surprise."""
    if cores:
        yield f"both sides run at once, on the cores {cores[0]} and {cores[1]}"
    elif in_turns:
        yield "the sides run one after the other, each on all cores"
    else:
        yield "the sides run one after the other, which is less sure: this process may not use two whole cores"
    if head.code == (base_commit, ""):
        yield "the working tree differs from BASE in files that git does not know, and in nothing else"
    if (base / ".gitmodules").exists():
        yield "BASE has submodules, which are empty in its tree: --setup can fill them (git submodule update --init)"


def status(decision: Decision, inconclusive: Inconclusive, bisect: bool) -> int:
    """Returns the exit status of a decided gate."""
    if decision == "inconclusive":
        return SKIP if bisect else 3 if inconclusive is Inconclusive.FAIL else 0
    return 1 if decision == "slower" else 0


def annotate(gate: Gate, inconclusive: Inconclusive) -> None:
    """Prints what GitHub Actions and Azure Pipelines show beside a job, there alone: an error or a warning."""
    levels = {"slower": "error", "inconclusive": "error" if inconclusive is Inconclusive.FAIL else "warning"}
    level = levels.get(gate.verdict.decision)
    if level is None or (gate.verdict.decision == "inconclusive" and inconclusive is Inconclusive.PASS):
        return
    text = printable(gates.sentence(gate))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(f"::{level} title=Timing gate::{text.replace('%', '%25')}")
    if os.environ.get("TF_BUILD") == "True":
        print(f"##vso[task.logissue type={level}]{text}")


def _prepare(out: Path, record: Path | None) -> None:
    """Finds what cannot be read or written before anything is measured, and removes an earlier gate's files."""
    if record is not None:
        gates.read_history(record)
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("ab"):
            pass
    out.mkdir(parents=True, exist_ok=True)
    if (out / "records").exists():
        raise InputError(f"--out {out} is a run's folder, whose page this would replace: name another")
    with tempfile.TemporaryFile(dir=out):
        pass
    for name in (gates.FILE, "gate.md", "report.html", PRINTED):
        (out / name).unlink(missing_ok=True)


def measure(
    console: Console, take_pair: Callable[[Side, int], Pair], design: Design
) -> tuple[list[Pair], list[Pair], GateVerdict]:
    """Tries until a try is decided, or the last was. Returns the pairs of the last try, those before, and the verdict.

    `take_pair` times a pair, given which side is first and a seed.
    """
    earlier: list[Pair] = []
    for number in range(1, design.tries + 1):
        pairs, verdict = _one_try(console, take_pair, design)
        if verdict.decision != "inconclusive" or number == design.tries:
            break
        console.print("inconclusive so far; once more, with new pairs", highlight=False)
        earlier += pairs
    return pairs, earlier, verdict


def _one_try(
    console: Console, take_pair: Callable[[Side, int], Pair], design: Design
) -> tuple[list[Pair], GateVerdict]:
    """Times pairs of processes until an interim analysis decides."""
    from results.gate_verdict import judge  # scipy: not for --help

    order = random.Random()
    pairs: list[Pair] = []
    began, most = time.monotonic(), design.looks[-1]

    def is_late() -> bool:
        """Whether another pair like those before would end after the design's time."""
        count = len(pairs)
        return count >= FEWEST_PAIRS and (time.monotonic() - began) * (count + 1) / count > design.most_seconds

    for look, count in enumerate(design.looks):
        while len(pairs) < count and not (late := is_late()):
            pairs.append(take_pair(order.choice(SIDES), order.randrange(2**31)))
            took = time.monotonic() - began
            left = min(took / len(pairs) * (most - len(pairs)), max(0, design.most_seconds - took))
            console.print(f"[{len(pairs)}/{most}] pairs; at most {duration(left)} left", highlight=False)
        so_far = design if not late else design.model_copy(update={"looks": design.looks[: look + 1]})
        verdict = judge(pairs, so_far, look)
        if verdict.decision != "go on":
            break
    return pairs, verdict


def show(console: Console, gate: Gate) -> None:
    """Prints the table, what changed without a clock, and the verdict in a sentence."""
    table = Table("case", "base", "here", "ratio", "95 % interval", "p", "minimum detectable", "verdict", box=None)
    for case in gate.verdict.cases:
        table.add_row(
            case.case,
            measured(case.base_seconds),
            measured(case.head_seconds),
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
    bisect = "--bisect" in sys.argv[1:]
    try:
        require_once(sys.argv[1:], ("--case",))
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        message, ended = error.format_message(), ABORT if bisect else 2
    except ProgramError as error:
        message, ended = str(error), (SKIP if error.side == HEAD else ABORT) if bisect else 2
    except (InputError, gates.GateError, OSError) as error:
        message, ended = str(error), ABORT if bisect else 2
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted: nothing was decided, and the worktree is removed", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        return ABORT if bisect else UNEXPECTED
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return ended


if __name__ == "__main__":
    sys.exit(main())
