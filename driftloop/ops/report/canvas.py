"""What all plots share: size, colours, marks across time, and SVG that says in words what it shows."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.dates
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from driftloop.ops.report.annotations import Mark

COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214", "#35978f", "#525252", "#c51b7d")
GOOD, BAD, NEUTRAL, LINE = "#1b7837", "#b2182b", "#777777", "#444444"

_MARKS = {"alarm": "#b2182b", "promoted": "#1b7837", "rejected": "#762a83", "stage": "#b35806", "run": "#777777"}
"""Colour by kind; of marks that stand together the first kind here gives the colour."""
_BEHIND = {"facecolor": "white", "alpha": 0.7, "pad": 0.6, "linewidth": 0}
"""Words stand over the lines, not among them."""
_NEAR = 0.012
"""Marks nearer than this share of the whole span become one."""
_WIDTH_IN = 9.0
_LEGEND_CHARACTERS = 96
"""That many stand beside each other above a figure, six of them for each line's sample."""
_UNUSED_ID = re.compile(r' id="([^"]+)"')
_USED_ID = re.compile(r'(?:url\(#|href="#)([^")]+)')


def figure(height_in: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure with so many axes below each other, which share what is across."""
    drawn = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    FigureCanvasSVG(drawn)
    axes = drawn.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return drawn, list(axes)


def over_time(axes: Axes) -> None:
    """Dates across, as short as they can be."""
    locator = mpl.dates.AutoDateLocator(minticks=3)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mpl.dates.ConciseDateFormatter(locator))


def legend(drawn: Figure, axes: Axes) -> None:
    """Names of the lines, above the axes where they hide nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = max(1, _LEGEND_CHARACTERS // (max(map(len, labels)) + 6))
        drawn.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=9, frameon=False)


def draw_marks(axes: Axes, marks: Sequence[Mark], *, named: bool = True) -> None:
    """Lines across; their words at the top where ``named``."""
    top = axes.get_ylim()[1]
    for mark in merged(marks):
        at = mpl.dates.date2num(mark.at)
        axes.axvline(at, color=_MARKS[mark.kind], linewidth=0.9, linestyle="--")
        if named:
            axes.annotate(
                mark.text, (at, top), (-2, 0), textcoords="offset points", rotation=90, fontsize=7.5, va="top",
                ha="right", color=_MARKS[mark.kind], bbox=_BEHIND,
            )  # fmt: skip


def merged(marks: Sequence[Mark]) -> list[Mark]:
    """Marks that stand apart: those at nearly one time as one, with the words of all, each once."""
    ordered = sorted(marks, key=lambda mark: mark.at)
    if not ordered:
        return []
    gap = (ordered[-1].at - ordered[0].at) * _NEAR
    groups = [[ordered[0]]]
    for mark in ordered[1:]:
        if mark.at - groups[-1][0].at <= gap:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [_together(group) for group in groups]


def svg(drawn: Figure, title: str, description: str) -> Markup:
    """The figure as SVG to stand inside a page, with a title and a description for those who do not see it.

    The SVG is our own: what comes from outside stands in it as text that matplotlib has escaped.
    """
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "driftloop", "svg.fonttype": "none"}):
        drawn.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = _only_used_ids(text[text.index("<svg") :])
    return Markup(titled(text, title, description))  # noqa: S704


def titled(text: str, title: str, description: str) -> str:
    """SVG text with ``title`` and ``desc`` as its first children (SVG 2, section 5.7)."""
    end = text.index(">")
    words = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f'{text[:end]} role="img" aria-label="{escape(title)}">{words}{text[end + 1 :]}'


def _only_used_ids(text: str) -> str:
    """Several figures stand in one page, and matplotlib names the parts of each alike: keep ids in use."""
    used = set(_USED_ID.findall(text))
    return _UNUSED_ID.sub(lambda found: found[0] if found[1] in used else "", text)


def _together(group: Sequence[Mark]) -> Mark:
    kind = next(kind for kind in _MARKS if any(mark.kind == kind for mark in group))
    return Mark(group[0].at, kind, ", ".join(dict.fromkeys(mark.text for mark in group)))
