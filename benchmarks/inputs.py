"""Defines the error of wrong usage or input, and checks of what a command was given."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence


class InputError(ValueError):
    """Wrong usage or input; the message is one line that says what is wrong and what is allowed."""


def one_of(what: str, name: str, allowed: Iterable[str]) -> str:
    """Returns `name`, if it is allowed; else raises `InputError` with what is, and the nearest one."""
    names = list(allowed)
    if name in names:
        return name
    raise InputError(f"unknown {what} {name!r}{hint(name, names)}; allowed: {', '.join(names)}")


def require_once(arguments: Iterable[str], lists: Sequence[str]) -> None:
    """Raises `InputError` for an option that is given twice, of which typer would take the last; `lists` may be."""
    counted = Counter(argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    for option, count in counted.items():
        if count > 1 and option not in lists:
            raise InputError(f"{option} is given {count} times: give it once")


def hint(name: str, allowed: Iterable[str]) -> str:
    """Words the allowed name that is nearest to a misspelled one, if any is near."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
