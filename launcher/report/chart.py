"""A curve as a drawing: SVG of our own, a few kilobytes, with its points beside it for the reader's pointer. Pure."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.report.html import Html, tag

WIDTH, HEIGHT = 340.0, 132.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 6.0, 8.0, 16.0
MOST = 400
"""Points drawn of a curve: of each of its parts the lowest and the highest, so that no spike is lost."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """`points` are (step, value), in the order of their steps, all finite. `restarts` and `safe` are steps at which an
    attempt began and a checkpoint was complete."""

    name: str
    points: tuple[Point, ...]
    across: str = "step"
    restarts: tuple[float, ...] = ()
    safe: tuple[float, ...] = ()


def chart(curve: Curve) -> Html:
    """A figure with its name, its last value and the drawing."""
    points = thinned(curve.points)
    low, high = _bounds([value for _, value in curve.points])
    first, last = curve.points[0][0], curve.points[-1][0]

    def at(point: Point) -> Point:
        share = (point[0] - first) / (last - first) if last > first else 0.5
        height = (point[1] - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)

    drawn = [at(point) for point in points]
    line = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
    floor = HEIGHT - BOTTOM
    inside = [
        *(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid") for y in (TOP, (TOP + floor) / 2, floor)),
        *(_upright(at((step, low))[0], TOP, floor, "restart") for step in curve.restarts if first < step <= last),
        *(_upright(at((step, low))[0], floor, floor + 4, "safe") for step in curve.safe if first <= step <= last),
        tag("path", d=line, class_="curve")
        if len(drawn) > 1
        else tag("circle", cx=f"{drawn[0][0]:.1f}", cy=f"{drawn[0][1]:.1f}", r=2.5, class_="dot"),
        *(
            tag("text", short(value), x=LEFT - 6, y=f"{at((first, value))[1] + 3.5:.1f}", class_="label end")
            for value in sorted({value for _, value in (min(curve.points, key=_value), max(curve.points, key=_value))})
        ),
        tag("text", f"{curve.across} {short(first)}", x=LEFT, y=HEIGHT - 2, class_="label"),
        tag("text", short(last), x=WIDTH - RIGHT, y=HEIGHT - 2, class_="label end"),
        tag("circle", r=3.5, class_="here", visibility="hidden"),
    ]
    told = f"{curve.name}: {short(curve.points[0][1])} at first, {short(curve.points[-1][1])} at last"
    box = f"0 0 {WIDTH:g} {HEIGHT:g}"
    drawing = tag("svg", *inside, viewBox=box, role="img", aria_label=told)
    value = tag("output", short(curve.points[-1][1]))
    caption = tag("figcaption", tag("span", curve.name, class_="name"), " ", value)
    data = [
        [round(x, 1), round(y, 1), short(step), short(number)]
        for (x, y), (step, number) in zip(drawn, points, strict=True)
    ]
    return tag(
        "figure", caption, drawing, data_across=curve.across, data_points=json.dumps(data, separators=(",", ":"))
    )


def thinned(points: Sequence[Point], most: int = MOST) -> list[Point]:
    """At most `most` of the points, the first and the last among them, in their order."""
    if len(points) <= most:
        return list(points)
    parts = most // 2 - 1
    kept = {0, len(points) - 1}
    for part in range(parts):
        share = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        kept.add(min(share, key=lambda at: points[at][1]))
        kept.add(max(share, key=lambda at: points[at][1]))
    return [points[at] for at in sorted(kept)]


def finite(points: Iterable[tuple[float, object]]) -> tuple[Point, ...]:
    """Those whose value is a number, in the order of their steps."""
    kept = [
        (float(step), float(value)) for step, value in points if isinstance(value, int | float) and math.isfinite(value)
    ]
    return tuple(sorted(kept))


def short(value: float) -> str:
    """Four digits; steps in full."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _value(point: Point) -> float:
    return point[1]


def _bounds(values: Sequence[float]) -> Point:
    low, high = min(values), max(values)
    if high > low:
        return low, high
    room = abs(low) / 10 or 1.0
    return low - room, high + room


def _upright(x: float, top: float, bottom: float, kind: str) -> Html:
    return tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{top:g}", y2=f"{bottom:g}", class_=kind)
