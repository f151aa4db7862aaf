"""How a run went: its stages in time, its curves, its GPUs, its checkpoints. A curve is a drawing: SVG of our own, a
few kilobytes, with its points beside it for the reader's pointer. Pure."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from launcher.format import duration, moment
from launcher.report.facts import Facts
from launcher.report.html import Html, fold, join, table, tag
from launcher.report.outlook import main_metrics

OPEN = 12
"""Curves of a stage that are seen at once; the rest is a click away."""
GIB = 1024
WIDTH, HEIGHT = 340.0, 132.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 6.0, 8.0, 16.0
MOST = 400
"""Points drawn of a curve: of each of its parts the lowest and the highest, so that no spike is lost."""
Point = tuple[float, float]


def timeline(facts: Facts) -> Html:
    """A bar for each attempt at a stage, on one axis."""
    began, ended = facts.began, facts.ended or facts.written
    if began is None:
        return Html("")
    whole = max(ended - began, 1e-9)
    rows = []
    for stage in facts.status.stages:
        own = [attempt for attempt in facts.attempts if attempt.stage == stage.name]
        bars = []
        for attempt in own:
            left, width = attempt.started - began, (attempt.ended or facts.written) - attempt.started
            position = f"left:{100 * left / whole:.2f}%;width:{max(100 * width / whole, 0.3):.2f}%"
            title = f"attempt {attempt.number}: {attempt.state}, {duration(width)}"
            bars.append(tag("span", style=position, class_=f"bar {attempt.state}", title=title))
        took = duration(sum((attempt.ended or facts.written) - attempt.started for attempt in own)) if own else ""
        steps = f"{stage.step:,} of {stage.steps:,} steps" if stage.steps and stage.step else ""
        tries = f"{len(own)} attempts" if len(own) > 1 else ""
        about = ", ".join(filter(None, (stage.state if stage.state != "done" else "", took, steps, tries)))
        rows.append(tag("div", tag("b", stage.name), tag("div", *bars, class_="lane"), tag("i", about), class_="row"))
    return tag("div", *rows, class_="timeline")


def curves(facts: Facts) -> Iterator[tuple[str, Html]]:
    """Stage -> its curves, what tells most first."""
    for stage in facts.status.stages:
        steps = facts.history.get(stage.name, {})
        names = {name: value for metrics in steps.values() for name, value in metrics.items()}
        first = main_metrics(names)
        rest = sorted(name for name in names if name not in first)
        restarts = tuple(
            float(attempt.first)
            for attempt in facts.attempts
            if attempt.stage == stage.name and attempt.number > 1 and attempt.first
        )
        safe = tuple(float(checkpoint.step) for checkpoint in stage.checkpoints)
        drawn = []
        for name in (*first, *rest):
            points = finite((step, metrics[name]) for step, metrics in steps.items() if name in metrics)
            if points:
                drawn.append(chart(Curve(name, points, restarts=restarts, safe=safe)))
        if drawn:
            yield stage.name, join(_grid(drawn[:OPEN]), fold(f"{len(drawn) - OPEN} more", _grid(drawn[OPEN:])))


def gpus(facts: Facts) -> Html:
    """The fullest GPU's memory and the mean use of all, over the hours of the run."""
    if not facts.gpus or facts.began is None:
        return Html("")
    hours = [(float(usage["time"]) - facts.began) / 3600 for usage in facts.gpus]
    used = finite((hour, max(usage["used"]) / GIB) for hour, usage in zip(hours, facts.gpus, strict=True))
    busy = finite(
        (hour, sum(usage["busy"]) / len(usage["busy"])) for hour, usage in zip(hours, facts.gpus, strict=True)
    )
    last, peak = facts.gpus[-1], max(value for _, value in used)
    about = f"{len(last['used'])} x {last['name']}, {last['total'] / GIB:.1f} GiB each; peak use {peak:.1f} GiB"
    drawn = [chart(Curve("memory, GiB", used, "hour")), chart(Curve("busy, %", busy, "hour"))]
    return join(tag("p", about), _grid(drawn))


def checkpoints(facts: Facts) -> Html:
    """Every one that was complete; trainers remove old ones."""
    rows = [
        (stage.name, checkpoint.name, f"{checkpoint.step:,}", moment(checkpoint.time))
        for stage in facts.status.stages
        for checkpoint in stage.checkpoints
    ]
    rows_ = table(("stage", "checkpoint", "step", "complete"), rows, False)
    return rows_ if len(rows) <= OPEN else fold(f"{len(rows)} checkpoints", rows_)


def _grid(drawn: list[Html]) -> Html:
    return tag("div", *drawn, class_="grid") if drawn else Html("")


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
