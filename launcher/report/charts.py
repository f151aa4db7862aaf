"""The charts of a report: curves of the stages, and the use of the GPUs. A chart is an SVG drawing of a few kilobytes,
with its points for the reader's pointer. Pure."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from launcher.report.facts import Facts
from launcher.report.status_lines import GIB, main_metrics

WIDTH, HEIGHT = 340.0, 132.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 6.0, 8.0, 16.0
MOST = 400
"""The most points of a curve: of each part the lowest and the highest, so that no spike is lost."""
Point = tuple[float, float]
Texts = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A curve as the page draws it; coordinates are texts. `value` is the last value; `data`, JSON, has the points."""

    name: str
    across: str
    value: str
    description: str
    data: str
    lines: Texts
    """x1, x2, y1, y2, class."""
    labels: Texts
    """Text, x, y, class."""
    path: str
    """Empty for a single point, which is `dot`."""
    dot: tuple[str, str]
    box: str = f"0 0 {WIDTH:g} {HEIGHT:g}"


def curves(facts: Facts) -> Iterator[tuple[str, list[Chart]]]:
    """Stage -> its charts, the main metrics first."""
    for stage in facts.status.stages:
        steps = facts.history.get(stage.name, {})
        names = {name: value for metrics in steps.values() for name, value in metrics.items()}
        first = main_metrics(names)
        rest = sorted(name for name in names if name not in first)
        again = [attempt for attempt in facts.attempts if attempt.stage == stage.name and attempt.number > 1]
        restarts = tuple(float(attempt.first) for attempt in again if attempt.first)
        safe = tuple(float(checkpoint.step) for checkpoint in stage.checkpoints)
        points = {
            name: finite_points((step, steps[step][name]) for step in steps if name in steps[step]) for name in names
        }
        charts = [chart(name, points[name], "step", restarts, safe) for name in (*first, *rest) if points[name]]
        if charts:
            yield stage.name, charts


def gpus(facts: Facts) -> tuple[str, list[Chart]] | None:
    """The memory of the fullest GPU and the mean load of all, over the hours of the run."""
    if not facts.gpus or facts.began is None:
        return None
    hours = [(float(usage["time"]) - facts.began) / 3600 for usage in facts.gpus]
    used = finite_points(zip(hours, (max(usage["used"]) / GIB for usage in facts.gpus), strict=True))
    busy = finite_points(zip(hours, (fmean(usage["busy"]) for usage in facts.gpus), strict=True))
    last, peak = facts.gpus[-1], max(value for _, value in used)
    text = f"{len(last['used'])} x {last['name']}, {last['total'] / GIB:.1f} GiB each; peak use {peak:.1f} GiB"
    return text, [chart("memory, GiB", used, "hour"), chart("busy, %", busy, "hour")]


def chart(
    name: str,
    curve: Sequence[Point],
    across: str = "step",
    restarts: Sequence[float] = (),
    safe: Sequence[float] = (),
) -> Chart:
    """The curve on its axes. Its points are (step, value), in the order of their steps, all finite. `restarts` and
    `safe` are steps at which an attempt began and a checkpoint was complete."""
    points = thin(curve)
    values = [value for _, value in curve]
    low, high = _bounds(values)
    first, last = curve[0][0], curve[-1][0]
    floor = HEIGHT - BOTTOM

    def at(point: Point) -> Point:
        share = (point[0] - first) / (last - first) if last > first else 0.5
        height = (point[1] - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT), floor - height * (floor - TOP)

    drawn = [at(point) for point in points]
    left, right = f"{LEFT:g}", f"{WIDTH - RIGHT:g}"
    lines: list[tuple[str, ...]] = [(left, right, f"{y:g}", f"{y:g}", "grid") for y in (TOP, (TOP + floor) / 2, floor)]
    lines += [_upright(at((step, low))[0], TOP, floor, "restart") for step in restarts if first < step <= last]
    lines += [_upright(at((step, low))[0], floor, floor + 4, "safe") for step in safe if first <= step <= last]
    labels = [
        (short(value), f"{LEFT - 6:g}", f"{at((first, value))[1] + 3.5:.1f}", "label end")
        for value in sorted({min(values), max(values)})
    ]
    labels += [
        (f"{across} {short(first)}", left, f"{HEIGHT - 2:g}", "label"),
        (short(last), right, f"{HEIGHT - 2:g}", "label end"),
    ]
    data = [
        [round(x, 1), round(y, 1), short(step), short(value)]
        for (x, y), (step, value) in zip(drawn, points, strict=True)
    ]
    return Chart(
        name=name,
        across=across,
        value=short(values[-1]),
        description=f"{name}: {short(values[0])} at first, {short(values[-1])} at last",
        data=json.dumps(data, separators=(",", ":")),
        lines=tuple(lines),
        labels=tuple(labels),
        path="M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in drawn) if len(drawn) > 1 else "",
        dot=(f"{drawn[0][0]:.1f}", f"{drawn[0][1]:.1f}"),
    )


def thin(points: Sequence[Point], most: int = MOST) -> list[Point]:
    """At most `most` of the points, in their order, with the first and the last."""
    if len(points) <= most:
        return list(points)
    parts = most // 2 - 1
    kept = {0, len(points) - 1}
    for part in range(parts):
        share = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        kept.add(min(share, key=lambda at: points[at][1]))
        kept.add(max(share, key=lambda at: points[at][1]))
    return [points[at] for at in sorted(kept)]


def finite_points(points: Iterable[tuple[float, object]]) -> tuple[Point, ...]:
    """The points whose value is a finite number, in the order of their steps."""
    kept = [
        (float(step), float(value)) for step, value in points if isinstance(value, int | float) and math.isfinite(value)
    ]
    return tuple(sorted(kept))


def short(value: float) -> str:
    """Four digits; steps in full."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _bounds(values: Sequence[float]) -> Point:
    low, high = min(values), max(values)
    if high > low:
        return low, high
    room = abs(low) / 10 or 1.0
    return low - room, high + room


def _upright(x: float, top: float, bottom: float, kind: str) -> tuple[str, ...]:
    return f"{x:.1f}", f"{x:.1f}", f"{top:g}", f"{bottom:g}", kind
