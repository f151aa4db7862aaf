"""What a user sees: the only module that prints. Readable at 80 columns, without colour, and when piped."""

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.prompt import Confirm
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from launcher.format import duration, size
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus

FOREIGN = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000)), "\N{REPLACEMENT CHARACTER}")
"""Characters that steer a terminal, or that no terminal can be sent."""
del FOREIGN[ord("\n")], FOREIGN[ord("\t")]
RIGHT = ("steps", "step", "time", "left")
WHOLE = ("stage", "state", "step", "time", "left", "run")


class Plainly(Console):
    """A console on which a text is only a text: what a machine said cannot steer the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for one in super().render(renderable, options):
            yield one if one.control else one._replace(text=one.text.translate(FOREIGN))


out = Plainly(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Plainly(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)
STYLE = {
    "done": "green",
    "finished": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "red",
    "interrupted": "yellow",
}


def plan(plan: Plan, findings: Sequence[Finding], forecast: Sequence[str] = ()) -> None:
    """One page: what runs where, pinned to what, what the checks found, and what the recipe expects of the run."""
    machine = plan.machine
    count = f"{machine.nodes} x " if machine.nodes > 1 else ""
    where = machine.cloud if machine.cloud == "local" else f"{machine.cloud}: {count}{_any(machine.accelerators)}"
    out.print(Text.assemble(("run ", "bold"), plan.run, ("   recipe ", "bold"), plan.recipe, ("   on ", "bold"), where))
    table = columns("stage", "steps", "uses output of", "main settings")
    for stage in plan.stages:
        keys = [name for name in ("mode", "actor_lr", "train_batch", "repo") if name in stage.config]
        table.add_row(
            stage.name,
            f"{stage.steps:,}" if stage.steps else "",
            " ".join(stage.needs.values()),
            " ".join(f"{name}={stage.config[name]}" for name in keys),
        )
    out.print(table)
    out.print(f"{'result':<9} from stage {plan.export}")
    if plan.disk_bytes:
        out.print(f"{'disk':<9} up to {size(plan.disk_bytes)} on each node")
    for name, one in plan.inputs.items():
        out.print(f"{name:<9} {one.path}: {one.rows:,} rows, {size(one.bytes)}, sha256 {one.sha256[:12]}")
    for name, model in plan.models.items():
        out.print(f"{name:<9} {model.repo} @ {(model.commit or model.revision)[:12]}")
    for name, source in plan.sources.items():
        out.print(f"{name:<9} {source.git} {source.ref} @ {source.commit[:12]}")
    code = plan.code
    out.print(
        f"{'code':<9} {f'git commit {code.commit[:12]}' if code.commit else 'no git commit'}"
        f"{' + changes' if code.dirty else ''}, recipe code hash {code.tree[:12]}"
    )
    if plan.packages:
        out.print(f"{'packages':<9} " + ", ".join(f"{name} {version}" for name, version in plan.packages.items()))
    if image := plan.image:
        over = ", with uncommitted code mounted over its own" if image.overlay else ""
        out.print(f"{'image':<9} {image.name}{over}")
    if plan.secrets:
        out.print(f"{'secrets':<9} " + " ".join(plan.secrets))
    out.print()
    found(findings)
    if forecast:
        out.print()
    for line in forecast:
        out.print(line)


def found(findings: Sequence[Finding]) -> None:
    """A line for each thing that was looked at, with what helps where it is not well."""
    for finding in findings:
        style = {OK: "green", REFUSED: "bold red"}.get(finding.level, "yellow")
        out.print(Text.assemble((f"{finding.level:<8}", style), f" {finding.check}: {finding.says}"))
        for line in finding.details:
            out.print(f"         {line}")
        if finding.hint and finding.level != OK:
            out.print(f"         hint: {finding.hint}")


def _any(accelerators: Sequence[str]) -> str:
    return " or ".join(accelerators) or "CPU"


def warnings(status: RunStatus) -> None:
    for stage in status.stages:
        for text in dict.fromkeys(stage.warnings):
            out.print(Text.assemble(("warning ", "yellow"), f"{stage.name}: {text}"))


def runs(rows: Iterable[Sequence[str]]) -> None:
    table = columns("run", "recipe", "state", "stage", "step", "age")
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
    err.print(Text.assemble((text, "bold red"), f"\n\nhint: `launcher down {run}` terminates it"))


def machines(rows: Iterable[Sequence[str]]) -> None:
    table = columns("machine of", "where", "type", "state", "age", "$/h", "$ so far")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def say(text: str) -> None:
    out.print(text)


def piped() -> bool:
    """Whether nobody looks at a page that changes."""
    return not out.is_terminal


def agreed(question: str) -> bool:
    """Whether the user says yes; return alone is no."""
    return Confirm.ask(question, console=out, default=False)


def draw(shown: RenderableType) -> None:
    """Tables and the like, on the width there is."""
    out.print(shown, soft_wrap=False)


def ago(moment: float) -> str:
    return f"{duration(time.time() - moment)} ago"


def say_raw(text: str) -> None:
    """A log's text as it is, as far as it can be sent."""
    out.file.write(text.encode(errors="replace").decode())
    out.file.flush()


def columns(*names: str) -> Table:
    """An empty table with these headings; numbers to the right, names never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold", no_wrap=name in WHOLE)
    return table


def labelled(*rows: tuple[Text | str, str], width: int = 0) -> Table:
    """A label and a text a row, the text folded where the screen ends; rows without a text are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=width)
    table.add_column()
    for label, text in rows:
        if text:
            table.add_row(label, Text(text, overflow="fold"))
    return table
