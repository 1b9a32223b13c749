"""Removes the places of a machine from commands and messages before they are written down."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

OPTIONS = {
    "--data-dir": "DIR",
    "--out": "DIR",
    "--worktree": "DIR",
    "--record": "FILE",
    "--ray-address": "HOST:PORT",
    "--attention": "FILE.py",
    "--command": "",
    "--setup": "",
}
"""Options whose value is a place -> how their help names it; nothing where it is a shell's command that names some."""


def command(module: str, arguments: Sequence[str], root: Path) -> str:
    """Returns the command as typed, except places outside the repository at `root`: these are named as in the help."""
    shown, option = [], ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if option:
            shown.append(_place(option, argument, root))
        elif equals and name in OPTIONS:
            shown.append(f"{name}={_place(name, value, root)}")
        else:
            shown.append(argument)
        option = argument if not option and argument in OPTIONS else ""
    return shlex.join(["python", "-m", module, *shown])


def _place(option: str, value: str, root: Path) -> str:
    if not OPTIONS[option]:
        return without_places(value, {})
    inside = option != "--ray-address" and Path(value).expanduser().resolve().is_relative_to(root)
    if inside and not Path(value).is_absolute():
        return value
    return Path(value).name if option == "--attention" else OPTIONS[option]


def without_places(text: str, known: Mapping[str, str]) -> str:
    """Returns the text with `known` places by their names, and only the last part of every other absolute path.

    An installed module keeps its path within the packages.
    """
    text = re.sub(rf"{BEFORE}(['\"])?/(?:(?(1)[^'\"\n]|[^\s'\"])*/)?site-packages/", r"\1", text)
    for place in sorted(known, key=len, reverse=True):
        text = re.sub(rf"{BEFORE}{re.escape(place)}(?![^\s/'\"),:;\]])", known[place], text)
    text = re.sub(rf"{BEFORE}(['\"])/[^'\"\n]*/(?=[^/'\"\n]*\1)", r"\1…/", text)  # in quotes there may be spaces
    return re.sub(rf"{BEFORE}/(?:[^\s/'\"]+/)+", "…/", text)


BEFORE = r"(?<![^\s'\"(=\[{,<])"
"""Where an absolute path may begin: after anything else, a slash is part of another word."""
