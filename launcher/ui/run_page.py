"""A run on one page of 80 columns: its stages, its curves, what it costs and what is at risk."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from launcher.format import duration, spark
from launcher.report.outlook import RunFacts, at_risk, cost, curve, gpus, quiet, speed, telling
from launcher.runfolder.status import RunStatus, StageStatus
from launcher.ui.console import STYLE, columns, labelled

CURVES, WIDTH = 4, 32


def page(status: RunStatus, outside: RunFacts, now: float) -> RenderableType:
    """The whole run as it stands at `now`."""
    return Group(_heading(status, outside, now), _stages(status, now), *_numbers(status), *_lines(status, outside, now))


def line(stage: StageStatus) -> str:
    """A stage in a line, for a pipe: its state, its step and the numbers that matter."""
    step = f" {stage.step}/{stage.steps}" if stage.steps and stage.step else ""
    shown = _apart(telling(stage.metrics)[:CURVES])
    numbers = " ".join(f"{short} {stage.metrics[name]:.4g}" for name, short in shown.items())
    return f"{stage.name:<12} {stage.state}{step}  {numbers}".rstrip()


def _heading(status: RunStatus, outside: RunFacts, now: float) -> Text:
    began = [stage.started for stage in status.stages if stage.started is not None]
    ended = [stage.ended for stage in status.stages if stage.ended is not None]
    end = now if status.state == "running" else max(ended, default=now)
    for_so_long = f", {duration(max(0.0, end - min(began)))}" if began else ""
    state = (status.state, STYLE.get(status.state, ""))
    return Text.assemble(("run ", "bold"), status.run, "  ", state, f" on {outside.place}{for_so_long}")


def _stages(status: RunStatus, now: float) -> Table:
    table = columns("stage", "state", "step", "time", "left")
    for stage in status.stages:
        step = f"{stage.step:,}/{stage.steps:,}" if stage.steps else ""
        state = Text(stage.state, STYLE.get(stage.state, ""))
        table.add_row(stage.name, state, step, duration(stage.seconds(now)), duration(stage.remaining(now)))
    return table


def _numbers(status: RunStatus) -> list[RenderableType]:
    """The curves of the stage that is under way, or of the last that had any."""
    shown = [stage for stage in status.stages if any(telling(one) for one in stage.history.values())]
    if status.current in shown:
        shown = [status.current] if status.current else []
    if not shown:
        return []
    table = Table.grid(padding=(0, 2))
    stage = shown[-1]
    names = telling({name: value for one in stage.history.values() for name, value in one.items()})
    for at, (name, short) in enumerate(_apart(names[:CURVES]).items()):
        values = curve(stage, name)
        last = next((one for one in reversed(values) if math.isfinite(one)), math.nan)
        table.add_row(stage.name if at == 0 else "", short, spark(values, WIDTH), f"{last:.4g}")
    return [Text(), table]


def _lines(status: RunStatus, outside: RunFacts, now: float) -> list[RenderableType]:
    """A line for each thing there is to say, folded within 80 columns."""
    said = [
        ("speed", "", speed(status.current) if status.current and status.current.state == "running" else ""),
        ("gpus", "", gpus(status)),
        ("cost", "", cost(outside)),
        ("at risk", "", at_risk(status, outside, now)),
        ("quiet", "yellow", quiet(status.current, outside, now)),
        *(("warning", "yellow", text) for text in status.warnings),
        *(
            ("warning", "yellow", f"{stage.name}: {text}")
            for stage in status.stages
            for text in dict.fromkeys(stage.warnings)
        ),
    ]
    table = labelled(*((Text(label, style), text) for label, style, text in said))
    return [Text(), table] if table.row_count else []


def _apart(names: Sequence[str]) -> dict[str, str]:
    """Each name -> its end, as many of its parts as tell it from the others."""
    found = {}
    for name in names:
        parts = name.split("/")
        ends = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
        found[name] = next((end for end in ends if sum(f"/{one}".endswith(f"/{end}") for one in names) == 1), name)
    return found
