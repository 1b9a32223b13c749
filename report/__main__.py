"""python -m report RUN: builds a run's page and tables again from its records alone, in seconds."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from results.store import StoreError

HELP = """Builds RUN/report.html and RUN/tables/*.csv from RUN/records/*.json alone. Takes about 10 seconds; no Keras.

\b
Examples:
  python -m report results/runs/quick
  python -m report results/runs/quick --open
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def command(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
) -> None:
    from report.page import build  # pandas, seaborn: not for --help

    page, findings = build(run)
    if not quiet:
        for answer in findings.answers:
            print(f"- {answer.sentence}")
        print(f"tables: {run / 'tables'}\nreport: {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())


def main() -> int:
    """The command; returns its exit status. An error that a user can mend is one line on stderr and status 2."""
    try:
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message()
    except (StoreError, OSError) as error:
        message = str(error)
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
