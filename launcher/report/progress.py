"""How a run went: its stages in time, its curves, its GPUs, its checkpoints. Pure."""

from collections.abc import Iterator

from launcher.format import duration, moment
from launcher.report.chart import Curve, chart, finite
from launcher.report.facts import Facts
from launcher.report.html import Html, fold, join, table, tag
from launcher.report.outlook import telling

OPEN = 12
"""Curves of a stage that are seen at once; the rest is a click away."""
GIB = 1024


def timeline(facts: Facts) -> Html:
    """A bar for each attempt at a stage, on one axis."""
    began, ended = facts.began, facts.ended or facts.written
    if began is None:
        return Html("")
    whole = max(ended - began, 1e-9)
    rows = []
    for stage in facts.status.stages:
        own = [one for one in facts.attempts if one.stage == stage.name]
        bars = []
        for one in own:
            left, width = one.started - began, (one.ended or facts.written) - one.started
            place = f"left:{100 * left / whole:.2f}%;width:{max(100 * width / whole, 0.3):.2f}%"
            title = f"attempt {one.number}: {one.state}, {duration(width)}"
            bars.append(tag("span", style=place, class_=f"bar {one.state}", title=title))
        took = duration(sum((one.ended or facts.written) - one.started for one in own)) if own else ""
        steps = f"{stage.step:,} of {stage.steps:,} steps" if stage.steps and stage.step else ""
        tries = f"{len(own)} attempts" if len(own) > 1 else ""
        about = ", ".join(filter(None, (stage.state if stage.state != "done" else "", took, steps, tries)))
        rows.append(tag("div", tag("b", stage.name), tag("div", *bars, class_="lane"), tag("i", about), class_="row"))
    return tag("div", *rows, class_="timeline")


def curves(facts: Facts) -> Iterator[tuple[str, Html]]:
    """Stage -> its curves, what tells most first."""
    for stage in facts.status.stages:
        steps = facts.history.get(stage.name, {})
        names = {name: value for one in steps.values() for name, value in one.items()}
        first = telling(names)
        rest = sorted(name for name in names if name not in first)
        restarts = tuple(
            float(one.first) for one in facts.attempts if one.stage == stage.name and one.number > 1 and one.first
        )
        safe = tuple(float(one.step) for one in stage.checkpoints)
        drawn = []
        for name in (*first, *rest):
            points = finite((step, one[name]) for step, one in steps.items() if name in one)
            if points:
                drawn.append(chart(Curve(name, points, restarts=restarts, safe=safe)))
        if drawn:
            yield stage.name, join(_grid(drawn[:OPEN]), fold(f"{len(drawn) - OPEN} more", _grid(drawn[OPEN:])))


def gpus(facts: Facts) -> Html:
    """The fullest GPU's memory and the mean use of all, over the hours of the run."""
    if not facts.gpus or facts.began is None:
        return Html("")
    hours = [(float(one["time"]) - facts.began) / 3600 for one in facts.gpus]
    used = finite((hour, max(one["used"]) / GIB) for hour, one in zip(hours, facts.gpus, strict=True))
    busy = finite((hour, sum(one["busy"]) / len(one["busy"])) for hour, one in zip(hours, facts.gpus, strict=True))
    last, peak = facts.gpus[-1], max(value for _, value in used)
    about = f"{len(last['used'])} x {last['name']}, {last['total'] / GIB:.1f} GiB each; {peak:.1f} GiB at most"
    drawn = [chart(Curve("memory, GiB", used, "hour")), chart(Curve("busy, %", busy, "hour"))]
    return join(tag("p", about), _grid(drawn))


def checkpoints(facts: Facts) -> Html:
    """Every one that was complete; trainers remove old ones."""
    rows = [
        (stage.name, one.name, f"{one.step:,}", moment(one.time))
        for stage in facts.status.stages
        for one in stage.checkpoints
    ]
    shown = table(("stage", "checkpoint", "step", "complete"), rows, False)
    return shown if len(rows) <= OPEN else fold(f"{len(rows)} checkpoints", shown)


def _grid(drawn: list[Html]) -> Html:
    return tag("div", *drawn, class_="grid") if drawn else Html("")
