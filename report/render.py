"""A template of this room and its values -> text: escaped where it is HTML, and a missing value is an error."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """The same values give the same bytes.

    Only the room's own style and script, and what matplotlib has drawn (`svg`: it escapes what it is given), are not
    escaped.
    """
    environment = Environment(
        loader=PackageLoader("report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": Markup, "raw_number": _raw_number, **filters}
    assets = {"css": "style.css", "javascript": "page.js"}
    texts = {name: Markup((TEMPLATES / file).read_text(encoding="utf-8")) for name, file in assets.items()}
    return environment.get_template(template).render(**texts, **values)


def _raw_number(value: float) -> str:
    """A number as JavaScript reads it."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(value) if isinstance(value, int) else f"{value:.9g}"
