"""Cases under their machine's roof -> the figure of it."""

import numpy as np
from matplotlib.axes import Axes

from report import words
from report.canvas import INK, Figure, canvas_of, labels_of, plain_numbers, style_of, svg_text
from report.conditions import proper
from report.growth import SCOPES
from report.roofline import Place

FILLS = {"train": "full", "infer": "none"}


def roofline(places: tuple[Place, ...]) -> Figure | None:
    """Multiply-adds a second against those a byte, a panel for each scope; training filled, inference hollow."""
    if not places:
        return None
    scopes = [scope for scope in SCOPES if any(place.curve.scope == scope for place in places)]
    labels = labels_of(place.curve for place in places)

    def paint(axes: list[Axes]) -> None:
        for ax, scope in zip(axes, scopes, strict=True):
            within = [place for place in places if place.curve.scope == scope]
            ax.set(title=SCOPES[scope], xscale="log", yscale="log")
            ax.set(xlabel="multiply-adds a byte", ylabel="billion multiply-adds a second")
            plain_numbers(ax, across=2)
            _roofs(ax, within)
            for label in labels:
                for phase, fill in FILLS.items():
                    of = [p for p in within if proper(p.curve) == label and p.curve.phase == phase]
                    color, marker = style_of(label, labels)
                    name = f"{label}, {'training' if phase == 'train' else 'inference'}"
                    if of:
                        ax.plot(
                            [place.intensity for place in of], [place.rate / 1e9 for place in of],
                            color=color, marker=marker, fillstyle=fill, linestyle="none", label=name,
                        )  # fmt: skip
            ax.legend(loc="lower right")

    alt = "; ".join(f"{_case(ends)}: {words.whole(100 * ends.share)} % of the roof" for ends in _largest(places))
    return Figure(
        "roofline", title(places), alt, svg_text("roofline", canvas_of(len(scopes), 9, 4.2, paint, columns=1))
    )


def title(places: tuple[Place, ...]) -> str:
    """How much of the roof the training steps reach at each curve's largest size."""
    said = [
        f"{proper(place.curve)} {words.whole(100 * place.share)} %"
        for place in _largest(places)
        if (place.curve.scope, place.curve.phase) == ("model", "train")
    ]
    heading = "How near each step comes to what this machine can do"
    return f"{heading}: the largest whole-model training steps reach {', '.join(said)}" if said else heading


def _largest(places: tuple[Place, ...]) -> list[Place]:
    return [place for place in places if place.point is place.curve.points[-1]]


def _case(place: Place) -> str:
    return f"{SCOPES[place.curve.scope]}, {place.curve.phase}, {proper(place.curve)}, N = {place.point.patches:,}"


def _roofs(ax: Axes, places: list[Place]) -> None:
    """The roof of each machine, over all intensities that are drawn."""
    intensities = [place.intensity for place in places]
    for roof in dict.fromkeys(place.roof for place in places):
        dense = np.geomspace(min(intensities) / 2, max(intensities) * 2, 200)
        ax.plot(dense, [roof.at(intensity) / 1e9 for intensity in dense], color=INK, linewidth=1.2)
