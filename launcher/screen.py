"""What a user sees: the only module that prints. Readable at 80 columns, without colour, and when piped."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from launcher.node.records import Plan
from launcher.preflight.disk import shown as size
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.status import RunStatus, StageStatus

out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)
TELLING = ("loss", "reward", "acc", "kl", "rouge")
"""Parts of metrics' names, the most telling first."""
STYLE = {
    "done": "green",
    "finished": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "red",
    "interrupted": "yellow",
}


def plan(plan: Plan, findings: Sequence[Finding]) -> None:
    """One page: what runs where, pinned to what, and what the checks found."""
    machine = plan.machine
    count = f"{machine.nodes} x " if machine.nodes > 1 else ""
    where = machine.cloud if machine.cloud == "local" else f"{machine.cloud}: {count}{_any(machine.accelerators)}"
    out.print(Text.assemble(("run ", "bold"), plan.run, ("   recipe ", "bold"), plan.recipe, ("   on ", "bold"), where))
    table = _table("stage", "steps", "needs", "settings that matter")
    for stage in plan.stages:
        keys = [name for name in ("mode", "actor_lr", "train_batch", "repo") if name in stage.config]
        table.add_row(
            stage.name,
            f"{stage.steps:,}" if stage.steps else "",
            " ".join(stage.needs.values()),
            " ".join(f"{name}={stage.config[name]}" for name in keys),
        )
    out.print(table)
    out.print(f"{'exports':<9} {plan.export}, {size(plan.disk_bytes)} of disk a node at most")
    for name, one in plan.inputs.items():
        out.print(f"{name:<9} {one.path}: {one.rows:,} rows, {size(one.bytes)}, sha256 {one.sha256[:12]}")
    for name, model in plan.models.items():
        out.print(f"{name:<9} {model.repo} @ {(model.commit or model.revision)[:12]}")
    for name, source in plan.sources.items():
        out.print(f"{name:<9} {source.git} {source.ref} @ {source.commit[:12]}")
    code = plan.code
    out.print(
        f"{'code':<9} {code.commit[:12] if code.commit else 'no git commit'}{' + changes' if code.dirty else ''}, "
        f"tree {code.tree[:12]}" + "".join(f", {name} {version}" for name, version in plan.packages.items())
    )
    if image := plan.image:
        over = ", the working tree's code over its own" if image.overlay else ""
        out.print(f"{'image':<9} {image.name}{over}")
    if plan.secrets:
        out.print(f"{'secrets':<9} " + " ".join(plan.secrets))
    out.print()
    for finding in findings:
        style = {OK: "green", REFUSED: "bold red"}.get(finding.level, "yellow")
        out.print(Text.assemble((f"{finding.level:<8}", style), f" {finding.check}: {finding.says}"))
        for line in finding.details:
            out.print(f"         {line}")
        if finding.hint and finding.level != OK:
            out.print(f"         hint: {finding.hint}")


def _any(accelerators: Sequence[str]) -> str:
    return " or ".join(accelerators) or "CPU"


def run(status: RunStatus, now: float) -> Table:
    """A run's stages with their state, steps, times and what is at risk."""
    table = _table("stage", "state", "step", "time", "left", "last safe", "numbers")
    for stage in status.stages:
        step = f"{stage.step:,}/{stage.steps:,}" if stage.steps else ""
        table.add_row(
            stage.name,
            Text(stage.state, STYLE.get(stage.state, "")),
            step,
            duration(stage.seconds(now)),
            duration(stage.remaining(now)),
            f"step {stage.safe_step}" if stage.safe_step is not None else "",
            numbers(stage),
        )
    return table


def heading(status: RunStatus) -> Text:
    return Text.assemble(("run ", "bold"), status.run, "  ", (status.state, STYLE.get(status.state, "")))


def numbers(stage: StageStatus) -> str:
    """The few metrics of the last step that fit a line: losses and the like before anything else."""
    wanted = [name for name, value in stage.metrics.items() if isinstance(value, int | float)]
    wanted = [name for name in wanted if not name.startswith(("time", "seconds", "perf", "timing"))]
    wanted.sort(key=lambda name: next((rank for rank, word in enumerate(TELLING) if word in name), len(TELLING)))
    return " ".join(f"{name.rpartition('/')[2]} {stage.metrics[name]:.4g}" for name in wanted[:4])


def warnings(status: RunStatus) -> None:
    for stage in status.stages:
        for text in dict.fromkeys(stage.warnings):
            out.print(Text.assemble(("warning ", "yellow"), f"{stage.name}: {text}"))


def runs(rows: Iterable[Sequence[str]]) -> None:
    table = _table("run", "recipe", "state", "stage", "step", "age")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def error(text: str) -> None:
    """`error: ...`, an empty line, `hint: ...`, on standard error."""
    first, _, rest = text.partition("\n")
    word, colon, message = first.partition(":")
    err.print(Text.assemble((word + colon, "bold red"), message, "\n" + rest if rest else ""))


def billed(text: str, run: str) -> None:
    """A machine costs money: in red, with the command that ends it."""
    err.print(Text.assemble((text, "bold red"), f"\n\nhint: `launcher down {run}` ends it"))


def machines(rows: Iterable[Sequence[str]]) -> None:
    table = _table("machine of", "where", "type", "state", "age", "$/h", "$ so far")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def say(text: str) -> None:
    out.print(text)


def status(status: RunStatus, now: float) -> None:
    """A whole run: its state, its stages, its warnings, and the error it ended with."""
    out.print(heading(status))
    out.print(run(status, now))
    warnings(status)
    if status.error:
        error(f"error: {status.error}\n\nhint: {status.hint}")


def duration(seconds: float | None) -> str:
    """`45s`, `12m 05s`, `3h 20m`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02}m"


def ago(moment: float) -> str:
    return f"{duration(time.time() - moment)} ago"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in ("steps", "step", "time", "left") else "left",
            overflow="fold",
            no_wrap=column in ("stage", "state", "step", "time", "left", "run"),
        )
    return table


def say_raw(text: str) -> None:
    """A log's bytes as they are."""
    out.file.write(text)
    out.file.flush()
