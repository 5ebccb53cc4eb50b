"""Plots as inline SVG: bars with their figures beside them, and a line over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from agentaflow_advisor.render import iso
from agentaflow_advisor.reports.elements import tag

WIDE, HALF = 1030.0, 500.0  # a unit is a pixel of a desk's page, so that letters are of one size
NAME_WIDTH = 200.0
FIGURE_WIDTH = 110.0
ROW = 22.0
BAR = 13.0
GAP = 2.0
LONGEST_NAME = 28


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: its name, what stands at its end, and (class, amount) of each part."""

    name: str
    figure: str
    parts: Sequence[tuple[str, float]]

    @property
    def length(self) -> float:
        return sum(amount for _, amount in self.parts)


def bars(rows: Sequence[Bar], title: str, width: float = WIDE) -> Element:
    """Horizontal bars from one zero, their longest as long as there is room."""
    longest = max((row.length for row in rows), default=0.0) or 1.0
    room = width - NAME_WIDTH - FIGURE_WIDTH
    drawn = [
        element
        for index, row in enumerate(rows)
        for element in _row(row, index * ROW, room / longest)
    ]
    return _svg(title, width, len(rows) * ROW, *drawn)


def _row(row: Bar, top: float, scale: float) -> list[Element]:
    middle = top + ROW / 2
    name = tag("text", _short(row.name), tag("title", row.name), x=0, y=middle, class_="name")
    drawn, x = [name], NAME_WIDTH
    for style, amount in row.parts:
        width = amount * scale
        if width >= 0.5:
            shown = max(0.5, width - GAP) if len(row.parts) > 1 else width
            shape = {"x": x, "y": middle - BAR / 2, "width": shown, "height": BAR, "rx": 2}
            drawn.append(tag("rect", **shape, class_=f"part {style}"))
        x += width
    drawn.append(tag("text", row.figure, x=x + 8, y=middle, class_="figure"))
    return drawn


def line(points: Sequence[tuple[float, float]], title: str, highest: str) -> Element:
    """(seconds since the epoch, amount) over time, from zero up; `highest` names the top."""
    height, left, top, bottom = 130.0, 8.0, 18.0, 106.0
    (first, _), (last, _) = points[0], points[-1]
    peak = max(amount for _, amount in points) or 1.0

    def x(at: float) -> float:
        return left + (at - first) / ((last - first) or 1.0) * (WIDE - 2 * left)

    def y(amount: float) -> float:
        return bottom - amount / peak * (bottom - top)

    path = " ".join(f"{x(at):.1f},{y(amount):.1f}" for at, amount in points)
    under = f"{x(first):.1f},{bottom} {path} {x(last):.1f},{bottom}"
    ends = [
        tag("text", (iso(first) or "")[:10], x=left, y=height - 8, class_="axis"),
        tag("text", (iso(last) or "")[:10], x=WIDE - left, y=height - 8, class_="axis end"),
        tag("text", highest, x=left, y=8, class_="axis"),
    ]
    return _svg(
        title,
        WIDE,
        height,
        tag("line", x1=0, x2=WIDE, y1=top, y2=top, class_="grid"),
        tag("line", x1=0, x2=WIDE, y1=bottom, y2=bottom, class_="base"),
        tag("polygon", points=under, class_="area"),
        tag("polyline", points=path, class_="trend"),
        tag("circle", cx=x(last), cy=y(points[-1][1]), r=4, class_="now"),
        *ends,
    )


def legend(items: Sequence[tuple[str, str]]) -> Element:
    """(class, words) of each part: what a colour means is never told by the colour alone."""
    return tag(
        "p",
        *(
            tag("span", tag("i", class_=f"swatch {style}"), words, class_="item")
            for style, words in items
        ),
        class_="legend",
    )


def _svg(title: str, width: float, height: float, *children: Element) -> Element:
    return tag(
        "svg",
        tag("title", title),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=title,
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
