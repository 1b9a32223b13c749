"""A template of this room and its values -> text: escaped where it is HTML, and a missing value is an error."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

CSS = Path(__file__).parent / "templates" / "style.css"


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """The same values give the same bytes. `svg` passes what matplotlib has drawn, which escapes what it is given."""
    environment = Environment(
        loader=PackageLoader("report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": Markup, **filters}
    return environment.get_template(template).render(css=Markup(CSS.read_text(encoding="utf-8")), **values)
