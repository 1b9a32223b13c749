"""Runs a program of each side in fresh processes: as a duet, both at once on a core each, or one after the other.

In a duet whatever disturbs the machine disturbs both sides. They change cores fifty times a second, so that also what
disturbs one core does. Source: Bulej et al. 2020, "Duet Benchmarking", https://arxiv.org/abs/2001.05811.
"""

import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks import cgroups
from benchmarks.inputs import InputError

TIMEOUT_SECONDS = 600
MOST_BYTES = 2**26
POLL_SECONDS = 0.02
"""Between two looks at processes that run alone."""
SWAP_SECONDS = 0.02
"""Between two changes of cores in a duet: both sides get their part of each core within one turn of a case."""
SEED, PARTNER = "GATE_SEED", "GATE_PARTNER"
"""Variables of a process: a number that both of a pair share, and the socket to the other one of a duet."""
PARTNER_ENDED = 75
"""Status of a process whose partner ended: the partner's own says why."""


class ProgramError(InputError):
    """A side cannot be set up or measured; `side` names it, and `printed` is what its program printed."""

    def __init__(self, side: str, why: str, printed: bytes = b"") -> None:
        super().__init__(f"{side} {why}")
        self.side, self.why, self.printed = side, why, printed


def last_line(printed: bytes, otherwise: str) -> str:
    """Returns the last line that says something: pip ends what failed with notices."""
    lines = [line.strip() for line in printed.decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[notice]")), otherwise)


@dataclass(frozen=True)
class Program:
    """What times one side's cases in one process, and prints them: `command` is a shell's where it is a string.

    `side` names the side in messages. It runs in `folder`, with exactly these `variables` besides its seed.
    """

    side: str
    command: str | tuple[str, ...]
    folder: Path
    variables: Mapping[str, str]


def two_cores() -> tuple[int, int] | None:
    """Returns two cores of the machine that can compute at once and that this process may use, if there are two."""
    if not hasattr(os, "sched_getaffinity") or cgroups.cpu_quota() < 2:
        return None
    first_of_core = {_physical_core(number): number for number in sorted(os.sched_getaffinity(0), reverse=True)}
    one, *others = sorted(first_of_core.values())
    return (one, others[-1]) if others else None


def _physical_core(number: int) -> str:
    """Names the core that a processor is a thread of; two threads of one core slow each other down."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(number)


def duet(programs: tuple[Program, Program], cores: tuple[int, int], seed: int) -> tuple[bytes, bytes]:
    """Runs two programs at once, the first one on the first core, and returns what they printed.

    Raises `ProgramError` where one fails.
    """
    ends = socket.socketpair()
    with ExitStack() as opened:
        for end in ends:
            opened.enter_context(end)
        one, other = (
            opened.enter_context(_started(program, seed, {core}, end))
            for program, end, core in zip(programs, ends, cores, strict=True)
        )
        for end in ends:
            end.close()  # what one process reads then ends where the other one ends
        swaps = itertools.cycle((((one, other), cores[::-1]), ((other, one), cores[::-1])))
        _wait([one, other], SWAP_SECONDS, lambda: _pin(*next(swaps)))
        return one.printed(), other.printed()


def alone(program: Program, seed: int) -> bytes:
    """Runs a program on all cores that there are, and returns what it printed. Raises `ProgramError` where it fails."""
    with _started(program, seed, set(), None) as running:
        _wait([running], POLL_SECONDS, lambda: None)
        return running.printed()


@dataclass(frozen=True)
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    errors: IO[bytes]

    def printed(self) -> bytes:
        self.output.seek(0)
        return self.output.read()

    def failure(self) -> ProgramError:
        """What its program ended with, in the last line of its errors or else of its output."""
        self.errors.seek(0)
        errors, printed = self.errors.read(), self.printed()
        why = last_line(errors, last_line(printed, f"exit {self.process.returncode}"))
        return ProgramError(self.program.side, f"cannot be measured: {why}", printed + errors)


@contextmanager
def _started(program: Program, seed: int, cores: set[int], end: socket.socket | None) -> Iterator[_Running]:
    """Starts a program in a group of its own, which ends with the block: a shell's command may be several processes."""
    allowed = os.sched_getaffinity(0) if cores else set()
    variables = {SEED: str(seed)} | ({PARTNER: str(end.fileno())} if end else {})
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        if cores:
            os.sched_setaffinity(0, cores)  # which the process inherits
        try:
            process = subprocess.Popen(
                program.command,
                shell=isinstance(program.command, str),
                cwd=program.folder,
                env={**program.variables, **variables, "PYTHONHASHSEED": str(seed)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=[end.fileno()] if end else [],
                start_new_session=True,
            )
        finally:
            if cores:
                os.sched_setaffinity(0, allowed)
        try:
            yield _Running(program, process, output, errors)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _pin(running: Sequence[_Running], cores: Sequence[int]) -> None:
    """Moves each program, with all its threads and the processes that it started, to its core.

    The first one shares the other's core for a moment. They take turns at that: always the same one would look slower.
    """
    for one, core in zip(running, cores, strict=True):
        for thread in _threads(one.process.pid):
            with suppress(OSError):  # it ended meanwhile
                os.sched_setaffinity(thread, {core})


def _threads(pid: int) -> Iterator[int]:
    """Yields the threads of a process and of all its descendants."""
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield int(thread.name)
            for child in (thread / "children").read_text().split():
                yield from _threads(int(child))
    except OSError:  # it ended meanwhile
        return


def _wait(running: Sequence[_Running], every_seconds: float, meanwhile: Callable[[], object]) -> None:
    """Waits until all ended well, and does something meanwhile. Raises `ProgramError` for one that did not."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while any(one.process.poll() is None for one in running):
        for one in running:
            if one.process.poll() not in (None, 0, PARTNER_ENDED):
                raise one.failure()
            if max(os.fstat(file.fileno()).st_size for file in (one.output, one.errors)) > MOST_BYTES:
                raise ProgramError(one.program.side, f"cannot be measured: it prints more than {MOST_BYTES:,} bytes")
        if time.monotonic() > deadline:
            late = next(one for one in running if one.process.poll() is None)
            raise ProgramError(late.program.side, f"cannot be measured: no answer in {TIMEOUT_SECONDS} s")
        time.sleep(every_seconds)
        meanwhile()
    for one in sorted(running, key=lambda one: one.process.poll() == PARTNER_ENDED):
        if one.process.poll():
            raise one.failure()
