"""Plots of lines over a common axis, with a band around each: an SVG file that needs nothing else.

Read in light and in dark; the legend is above the panels, in the order of the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from xml.etree.ElementTree import Element, tostring

from agentaflow_advisor.reports.elements import styled, tag

WIDTH, TALL = 1030.0, 330.0
LEFT, RIGHT, BOTTOM = 52.0, 18.0, 46.0
GAP = 84.0
LEGEND_COLUMNS, LEGEND_ROW = 5, 18.0
COLOURS = 8
TICKS = 6


@dataclass(frozen=True, slots=True)
class Point:
    """Where a line passes, and the band around it."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """`number` is its colour, the same in every panel; a dashed one is no measurement."""

    name: str
    number: int
    points: Sequence[Point]
    dashed: bool = False

    @property
    def style(self) -> str:
        return (
            f"c{self.number % COLOURS}{' dashed' if self.dashed or self.number >= COLOURS else ''}"
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; its axes are named with their units, and end where these bounds say."""

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    x_bounds: tuple[float, float]
    y_bounds: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel is drawn, and where its values lie in it."""

    panel: Panel
    left: float
    top: float
    width: float

    @property
    def floor(self) -> float:
        return self.top + TALL

    def x(self, value: float) -> float:
        low, high = self.panel.x_bounds
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        low, high = self.panel.y_bounds
        inside = min(max(value, low), high)
        return self.floor - (inside - low) / (high - low) * TALL


def picture(title: str, panels: Sequence[Panel]) -> str:
    """The file: panels beside each other under one legend."""
    named: dict[str, Line] = {}
    for panel in panels:
        for line in panel.lines:
            named.setdefault(line.name, line)
    top = 60 + LEGEND_ROW * -(-len(named) // LEGEND_COLUMNS)
    height = top + TALL + BOTTOM
    width = (WIDTH - LEFT - RIGHT - (len(panels) - 1) * GAP) / len(panels)
    frames = [
        _Frame(panel, LEFT + index * (width + GAP), top, width)
        for index, panel in enumerate(panels)
    ]
    root = tag(
        "svg",
        tag("title", title),
        styled((resources.files(__package__) / "curves.css").read_text(encoding="utf-8")),
        tag("rect", width=WIDTH, height=height, class_="page"),
        *_legend(list(named.values())),
        *(part for frame in frames for part in (*_axes(frame), *_lines(frame))),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=title,
    )
    return tostring(root, encoding="unicode") + "\n"


def _legend(lines: Sequence[Line]) -> Iterator[Element]:
    for index, line in enumerate(lines):
        row, column = divmod(index, LEGEND_COLUMNS)
        x, y = LEFT + column * (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS, 16 + LEGEND_ROW * row
        yield tag("line", x1=x, x2=x + 22, y1=y, y2=y, class_=f"line {line.style}")
        yield tag("text", line.name, x=x + 28, y=y)


def _axes(frame: _Frame) -> Iterator[Element]:
    panel, left, floor = frame.panel, frame.left, frame.floor
    right, middle = left + frame.width, left + frame.width / 2
    yield tag("text", panel.title, x=left, y=frame.top - 16, class_="title")
    for at in ticks(*panel.y_bounds):
        y = frame.y(at)
        style = "base" if at == panel.y_bounds[0] else "grid"
        yield tag("line", x1=left, x2=right, y1=y, y2=y, class_=style)
        yield tag("text", f"{at:g}", x=left - 8, y=y, class_="axis end")
    for at in ticks(*panel.x_bounds):
        yield tag("text", f"{at:g}", x=frame.x(at), y=floor + 14, class_="axis middle")
    yield tag("text", panel.x_title, x=middle, y=floor + 34, class_="axis middle")
    beside = {"x": left - 40, "y": (frame.top + floor) / 2}
    turned = f"rotate(-90 {beside['x']:g} {beside['y']:g})"
    yield tag("text", panel.y_title, **beside, transform=turned, class_="axis middle")


def _lines(frame: _Frame) -> Iterator[Element]:
    low, high = frame.panel.x_bounds
    for line in frame.panel.lines:
        inside = [point for point in line.points if low <= point.x <= high]
        path = _path(frame, [(point.x, point.y) for point in inside])
        upper = _path(frame, [(point.x, point.high) for point in inside])
        lower = _path(frame, [(point.x, point.low) for point in reversed(inside)])
        yield tag("polygon", points=f"{upper} {lower}", class_=f"band {line.style}")
        named = tag("title", line.name)
        yield tag("polyline", named, points=path, class_=f"line {line.style}")


def _path(frame: _Frame, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from one bound to the other, some six of them."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 25, 50):
        if (high - low) / step <= TICKS:
            break
    first = -int(-low // step)
    return [round(number * step, 6) for number in range(first, int(high / step + 1e-9) + 1)]
