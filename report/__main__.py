"""python -m report RUN: builds a run's page and tables again from its records alone, in seconds."""

import io
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

import results
from results import gates
from results.files import StoreError
from results.gates import GateError
from results.printable import printable

HELP = """Builds RUN/report.html and RUN/tables/*.csv from RUN/records/*.json alone. Takes about 10 seconds; no Keras.

With --against, builds instead RUN/against-OTHER.html: what changed from OTHER to RUN. Step times of different
machines are not compared.

\b
Examples:
  python -m report --example
  python -m report results/runs/quick
  python -m report results/runs/quick --open
  python -m report results/runs/quick --markdown
  python -m report results/runs/quick --against results/reference/quick-2-cores
  python -m report --history history.jsonl
"""

EXAMPLE = Path(results.__file__).parent / "reference" / "quick-2-cores-epyc" / "report.html"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def command(
    run: Annotated[Path | None, typer.Argument(help="A run's folder, or a gate's.")] = None,
    history: Annotated[
        Path | None, typer.Option(help="Draw the step times of a gate's history instead, into a page beside it.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another run's folder: show what changed from it to RUN instead.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the verdicts as Markdown; write nothing.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Open the page of a sample run instead.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
    facts: Annotated[
        bool, typer.Option("--facts", help="Print what was found so far, and where.", hidden=True)
    ] = False,
) -> None:
    if example:
        if run or history or against or markdown:
            raise StoreError("--example opens the page of a sample run: give it alone")
        print(f"example: {EXAMPLE}")
        webbrowser.open(EXAMPLE.as_uri())
        return
    if (run is None) == (history is None):
        raise StoreError("give a run's folder, such as results/runs/quick, or --history FILE")
    if against is not None and run is None:
        raise StoreError("--against compares two runs: give RUN too")
    if markdown:
        _print_markdown(run, against)
        return
    if run is not None:
        page, said = _of_run(run, facts) if against is None else _of_both(run, against)
    elif history is not None:
        page, said = _of_history(history)
    if not quiet:
        print("\n".join(map(printable, [*said, f"report: {page}"])))
    if open_:
        webbrowser.open(page.resolve().as_uri())


def _print_markdown(run: Path | None, against: Path | None) -> None:
    if run is None or against is not None:
        raise StoreError("--markdown is for one run: give its folder alone")
    if _is_gate(run):
        from report import gate

        print(gate.summary(gates.read(run)), end="")
        return
    from report.findings import find
    from report.page import load
    from report.summary import as_markdown

    print(as_markdown(find(load(run))))


def _is_gate(folder: Path) -> bool:
    """Whether the folder is a timing gate's, and not a run's."""
    return (folder / gates.FILE).exists() and not (folder / "records").exists()


def _of_run(folder: Path, facts: bool) -> tuple[Path, list[str]]:
    if _is_gate(folder):
        from report import gate

        page, verdict = gate.build(folder)
        return page, [f"Timing gate: {verdict}", ""]
    from report.page import build  # pandas, seaborn: not for --help
    from report.summary import lines

    page, findings = build(folder)
    if facts:
        return page, [fact.replace("**", "") for fact in findings.facts]
    return page, [*lines(findings), ""]


def _of_both(folder: Path, other: Path) -> tuple[Path, list[str]]:
    from report.compare import build, reproducibility

    page, found = build(folder, other)
    said = [f"- {change}" for change in found.changes if change.is_change]
    repeated = filter(None, [reproducibility(found)])
    return page, [*found.incomplete, *found.refused, *repeated, *(said or ["- nothing changed"])]


def _of_history(history: Path) -> tuple[Path, list[str]]:
    from report.history import build

    page, trends = build(history)
    changes = [(trend, change) for trend in trends for change in trend.changes]
    said = [f"- {t.case}, since {c.commit}: {c.ratio:.2f} times as long ({t.machine})" for t, c in changes]
    return page, said or ["- no change point"]


def main() -> int:
    """The command; returns its exit status. An error that a user can mend is one line on stderr and status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a Windows code page lacks some of the page's characters
        sys.stdout.reconfigure(errors="replace")
    try:
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message()
    except (StoreError, GateError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
