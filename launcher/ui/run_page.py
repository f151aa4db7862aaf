"""A run on one page of 80 columns: its stages, its curves, its cost, and what is at risk."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from launcher.format import duration, sparkline
from launcher.report.status_lines import RunFacts, at_risk, cost, curve, gpus, main_metrics, quiet, speed
from launcher.runfolder.status import RunStatus, StageStatus
from launcher.ui.console import STYLE, columns, label_table

CURVES, WIDTH = 4, 32


def page(status: RunStatus, facts: RunFacts, now: float) -> RenderableType:
    """The whole run at the time `now`."""
    return Group(_heading(status, facts, now), _stages(status, now), *_numbers(status), *_lines(status, facts, now))


def line(stage: StageStatus) -> str:
    """A stage in one line, for a pipe: its state, its step and its main metrics."""
    step = f" {stage.step}/{stage.steps}" if stage.steps and stage.step else ""
    shown = _apart(main_metrics(stage.metrics)[:CURVES])
    numbers = " ".join(f"{short} {stage.metrics[name]:.4g}" for name, short in shown.items())
    return f"{stage.name:<12} {stage.state}{step}  {numbers}".rstrip()


def _heading(status: RunStatus, facts: RunFacts, now: float) -> Text:
    began = [stage.started for stage in status.stages if stage.started is not None]
    ended = [stage.ended for stage in status.stages if stage.ended is not None]
    end = now if status.state == "running" else max(ended, default=now)
    for_so_long = f", {duration(max(0.0, end - min(began)))}" if began else ""
    state = (status.state, STYLE.get(status.state, ""))
    return Text.assemble(("run ", "bold"), status.run, "  ", state, f" on {facts.cloud}{for_so_long}")


def _stages(status: RunStatus, now: float) -> Table:
    table = columns("stage", "state", "step", "time", "left")
    for stage in status.stages:
        step = f"{stage.step:,}/{stage.steps:,}" if stage.steps else ""
        state = Text(stage.state, STYLE.get(stage.state, ""))
        table.add_row(stage.name, state, step, duration(stage.seconds(now)), duration(stage.remaining(now)))
    return table


def _numbers(status: RunStatus) -> list[RenderableType]:
    """The curves of the current stage, or of the last stage that has curves."""
    shown = [stage for stage in status.stages if any(main_metrics(metrics) for metrics in stage.history.values())]
    if status.current in shown:
        shown = [status.current] if status.current else []
    if not shown:
        return []
    table = Table.grid(padding=(0, 2))
    stage = shown[-1]
    names = main_metrics({name: value for metrics in stage.history.values() for name, value in metrics.items()})
    for at, (name, short) in enumerate(_apart(names[:CURVES]).items()):
        values = curve(stage, name)
        last = next((value for value in reversed(values) if math.isfinite(value)), math.nan)
        table.add_row(stage.name if at == 0 else "", short, sparkline(values, WIDTH), f"{last:.4g}")
    return [Text(), table]


def _lines(status: RunStatus, facts: RunFacts, now: float) -> list[RenderableType]:
    """A line for each text that is not empty."""
    texts = [
        ("speed", "", speed(status.current) if status.current and status.current.state == "running" else ""),
        ("gpus", "", gpus(status)),
        ("cost", "", cost(facts)),
        ("at risk", "", at_risk(status, facts, now)),
        ("quiet", "yellow", quiet(status.current, facts, now)),
        *(("warning", "yellow", text) for text in status.warnings),
        *(
            ("warning", "yellow", f"{stage.name}: {text}")
            for stage in status.stages
            for text in dict.fromkeys(stage.warnings)
        ),
    ]
    table = label_table(*((Text(label, style), text) for label, style, text in texts))
    return [Text(), table] if table.row_count else []


def _apart(names: Sequence[str]) -> dict[str, str]:
    """Name -> its last parts, as many as make it different from the other names."""
    short = {}
    for name in names:
        parts = name.split("/")
        ends = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
        short[name] = next((end for end in ends if sum(f"/{other}".endswith(f"/{end}") for other in names) == 1), name)
    return short
