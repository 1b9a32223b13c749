"""python -m benchmarks.regress BASE: whether a step of the working tree became slower than at BASE, on this machine."""

import json
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

import results
from benchmarks import estimate
from benchmarks.environment import cpu_model, git, worker_variables
from benchmarks.suite import InputError, one_of
from results import gates
from results.gates import Block, Design, Gate, GateVerdict, Machine, Side

ROOT = Path(__file__).parent.parent
FOLDER = Path(results.__file__).parent / "runs" / "gate"
PROBE = Path(__file__).with_name("probe.py")
BACKEND = "tensorflow"
PROCESS_TIMEOUT_SECONDS = 600
PREFIX = "eanet-gate-"
PLAIN_WIDTH = 150
"""Of what is no terminal: a log, in which the table shall not be cut."""

THREADS = 1
"""On a shared machine two threads run at two speeds, by turns of seconds, a factor of 1.5 apart; one thread does not
(docs/timing-gate.md)."""

PULL_REQUEST = Design(looks=(10, 16), alphas=(0.004, 0.006), floor=0.05, detectable=0.10, steps=40)
LONG = Design(looks=(16, 32, 48), alphas=(0.002, 0.003, 0.005), floor=0.02, detectable=0.05, steps=40)
STATUS = {"clean": 0, "slower": 1, "inconclusive": 3}

HELP = """Compares the step times of the working tree with those of BASE, a commit, branch or tag, on this machine.

Fresh processes of both sides by turns, in blocks of four; a one-sided paired test with Holm's adjustment over the
cases. Takes at most 10 minutes on 2 CPU cores, --long about 20. Nothing else should compute meanwhile.

Exit status: 0 no slowdown shown, 1 a slowdown is proven and above the floor, 2 wrong usage or input, 3 inconclusive
(the machine is too noisy to tell).

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
    base: Annotated[str, typer.Argument(help="Commit, branch or tag that the working tree is held against.")],
    long: Annotated[bool, typer.Option("--long", help="More pairs, and a floor of 2 %.")] = False,
    case: Annotated[list[str], typer.Option(help="Only this case; may be given again.")] = [],  # noqa: B006
    floor: Annotated[
        float | None,
        typer.Option(help="Percent below which a slowdown does not fail; else 5, or 2 with --long.", min=0, max=100),
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Append the result to this JSON-lines history.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for gate.json, gate.md and report.html.")] = FOLDER,
    worktree: Annotated[
        Path | None, typer.Option(help="Where to check BASE out; else in a temporary folder. It is removed again.")
    ] = None,
) -> None:
    design = LONG if long else PULL_REQUEST
    if floor is not None:
        if floor / 100 >= design.detectable:
            most = f"{design.detectable:.0%}, which the gate must be able to see"
            raise InputError(f"--floor {floor:g} is not below {most}: every gate would be inconclusive")
        design = design.model_copy(update={"floor": floor / 100})
    if record is not None:
        gates.read_history(record)  # a history that cannot be read is found before anything is measured
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with checked_out(base, worktree) as (tree, commit):
        trees: dict[Side, Path] = {"base": tree, "head": ROOT}
        sides: dict[Side, str] = {"base": f"{base} ({commit[:7]})", "head": "the working tree"}
        counted = {side: probe(trees[side], sides[side], ["counts"]) for side in trees}
        names = compared_cases(counted, case, sides)
        changes = changed_counts(counted, names)
        blocks, verdict = measure(console, trees, sides, names, design)
    gate = Gate(
        base=base,
        base_commit=commit,
        head_commit=git(ROOT, "rev-parse", "HEAD"),
        dirty=bool(git(ROOT, "status", "--porcelain")),
        command=shlex.join(["python", "-m", "benchmarks.regress", *sys.argv[1:]]),
        started=started,
        machine=Machine(
            cpu=cpu_model(),
            threads=THREADS,
            python=platform.python_version(),
            versions={name: version(name) for name in ("keras", BACKEND, "numpy")},
        ),
        design=design,
        blocks=tuple(blocks),
        changes=tuple(changes),
        verdict=verdict,
    )
    gates.write(out, gate)
    show(console, gate)
    if record is not None:
        gates.append(record, gate)
    _report(out)
    raise typer.Exit(STATUS[verdict.decision])


@contextmanager
def checked_out(base: str, at: Path | None) -> Iterator[tuple[Path, str]]:
    """BASE in a worktree of its own, and its commit; removed again whatever happens. Raises `InputError`."""
    if shutil.which("git") is None:
        raise InputError("git is not installed: BASE cannot be checked out")
    if git(ROOT, "rev-parse", "--git-dir") is None:
        raise InputError(f"{ROOT} is not a git repository: BASE cannot be checked out")
    commit = git(ROOT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    if commit is None:
        raise InputError(f"unknown BASE {base!r}: it is no commit, branch or tag of {ROOT}; is it fetched?")
    if at is not None and at.exists():
        raise InputError(f"--worktree {at} is in the way: remove it (git worktree remove {at}) or name another")
    _remove_orphans()
    above = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    tree = above / "base" if at is None else at.expanduser().resolve()
    try:
        added = subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(tree), commit],
            capture_output=True,
            text=True,
        )
        if added.returncode:
            raise InputError(f"BASE cannot be checked out: {' '.join(added.stderr.split())}")
        yield tree, commit
    finally:
        held = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the worktree behind
        _remove(tree)
        shutil.rmtree(above, ignore_errors=True)
        signal.signal(signal.SIGINT, held)


def _remove(tree: Path) -> None:
    git(ROOT, "worktree", "remove", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)
    git(ROOT, "worktree", "prune")


def _remove_orphans() -> None:
    """The worktrees of gates that were killed before they could remove them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            _remove(folder / "base")
            shutil.rmtree(folder, ignore_errors=True)


def probe(tree: Path, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What one fresh process answers about the cases of a tree. Raises `InputError` where it cannot be measured."""
    variables = os.environ | worker_variables(BACKEND, THREADS) | {"PYTHONPATH": str(tree)}
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(PROBE), *arguments],
                cwd=tree,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=PROCESS_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{name} cannot be measured: no answer in {PROCESS_TIMEOUT_SECONDS} s") from None
        errors.seek(0)
        said = [line for line in errors.read().splitlines() if line.strip()]
    if done.returncode:
        raise InputError(f"{name} cannot be measured: {said[-1].strip() if said else f'exit {done.returncode}'}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compared_cases(
    counted: Mapping[Side, dict[str, Any]], chosen: Sequence[str], sides: Mapping[Side, str]
) -> list[str]:
    """The cases to time: the chosen ones, or all. A case that one side lacks is an error: it would not be compared."""
    base, head = counted["base"], counted["head"]
    for name in chosen:
        one_of("case", name, sorted(base.keys() | head.keys()))
    wanted = list(dict.fromkeys(chosen)) or sorted(base.keys() | head.keys())
    for name in wanted:
        if name in base and name in head:
            if base[name]["shape"] != head[name]["shape"]:
                raise InputError(
                    f"case {name} is another one: {base[name]['shape']} at BASE, {head[name]['shape']} here"
                )
            continue
        lacking: Side = "head" if name in base else "base"
        here, there = counted[lacking], head if lacking == "base" else base
        for other in here.keys() - there.keys():
            if here[other]["shape"] == there[name]["shape"] and here[other]["parameters"] == there[name]["parameters"]:
                raise InputError(f"case {name} is called {other} in {sides[lacking]}: renamed cases cannot be compared")
        raise InputError(f"{sides[lacking]} has no case {name}: choose others with --case ({', '.join(sorted(here))})")
    return wanted


def changed_counts(counted: Mapping[Side, dict[str, Any]], names: Sequence[str]) -> list[str]:
    """What changed that needs no clock: parameters, multiply-adds, and kinds and numbers of operations."""
    changes = []
    for name in names:
        base, head = counted["base"][name], counted["head"][name]
        told = [
            f"{what.replace('_', '-')} {base[what]:,} -> {head[what]:,}"
            for what in ("parameters", "multiply_adds")
            if base[what] != head[what]
        ]
        kinds = sorted(base["operations"].keys() | head["operations"].keys())
        numbers = {kind: (base["operations"].get(kind, 0), head["operations"].get(kind, 0)) for kind in kinds}
        told += [f"{kind} {before} -> {after}" for kind, (before, after) in numbers.items() if before != after]
        if told:
            changes.append(f"{name}: {', '.join(told)}")
    return changes


def measure(
    console: Console, trees: Mapping[Side, Path], sides: Mapping[Side, str], names: Sequence[str], design: Design
) -> tuple[list[Block], GateVerdict]:
    """Blocks of four processes until a look at them decides."""
    from results.regression import judge  # scipy: not for --help

    order = random.Random()
    blocks: list[Block] = []
    began, most = time.monotonic(), 2 * design.looks[-1]
    for look, pairs in enumerate(design.looks):
        while 2 * len(blocks) < pairs:
            turns: tuple[Side, ...] = order.choice((("base", "head", "head", "base"), ("head", "base", "base", "head")))
            seconds = []
            for side in turns:
                seed = str(order.randrange(2**31))
                seconds.append(probe(trees[side], sides[side], ["times", seed, str(design.steps), *names]))
            blocks.append(Block(sides=turns, seconds=tuple(seconds), swapped=order.random() < 0.5))
            done = 4 * len(blocks)
            left = (time.monotonic() - began) / done * (most - done)
            console.print(f"[{done}/{most}] processes; at most {estimate.words(left)} left", highlight=False)
        verdict = judge(gates.pairs(blocks), gates.same_code_pairs(blocks), design, look)
        if verdict.decision != "go on":
            break
    return blocks, verdict


def show(console: Console, gate: Gate) -> None:
    """The table, what changed without a clock, and the verdict in a sentence."""
    table = Table("case", "base", "here", "ratio", "95 % interval", "p", "could have seen", "verdict", box=None)
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
    """The page and the Markdown, built where the report's libraries may load."""
    subprocess.run([sys.executable, "-m", "report", str(folder.resolve()), "--quiet"], cwd=ROOT, check=False)


def main() -> int:
    """The command; returns its exit status."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        return app(standalone_mode=False) or 0
    except (InputError, gates.GateError) as error:
        message = str(error)
    except typer.TyperException as error:
        message = error.format_message()
    except OSError as error:
        message = str(error)
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted: nothing was decided, and the worktree is removed", file=sys.stderr)
        return 130
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
