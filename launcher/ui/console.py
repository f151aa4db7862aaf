"""The output that a user sees. It is readable in 80 columns, without colour, and in a pipe."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.prompt import Confirm
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from launcher.format import size
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import RunStatus

FOREIGN = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000)), "\N{REPLACEMENT CHARACTER}")
"""Characters that control a terminal, or that cannot be sent to one."""
del FOREIGN[ord("\n")], FOREIGN[ord("\t")]
RIGHT = ("steps", "step", "time", "left")
WHOLE = ("stage", "state", "step", "time", "left", "run")


class PlainConsole(Console):
    """A console that prints text only as text: output of a machine cannot control the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(FOREIGN))


out = PlainConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = PlainConsole(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)
STYLE = {
    "done": "green",
    "finished": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "red",
    "interrupted": "yellow",
}


def show_plan(plan: Plan, findings: Sequence[Finding], forecast: Sequence[str] = ()) -> None:
    """Prints the plan on one page: stages, pins and machine, the findings, and what the recipe expects of the run."""
    machine = plan.machine
    count = f"{machine.nodes} x " if machine.nodes > 1 else ""
    on = (
        machine.cloud
        if machine.cloud == "local"
        else f"{machine.cloud}: {count}{' or '.join(machine.accelerators) or 'CPU'}"
    )
    out.print(Text.assemble(("run ", "bold"), plan.run, ("   recipe ", "bold"), plan.recipe, ("   on ", "bold"), on))
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
    for name, data in plan.inputs.items():
        out.print(f"{name:<9} {data.path}: {data.rows:,} rows, {size(data.bytes)}, sha256 {data.sha256[:12]}")
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
    show_findings(findings)
    if forecast:
        out.print()
    for line in forecast:
        out.print(line)


def show_findings(findings: Sequence[Finding]) -> None:
    """Prints a line for each finding, and the hint if it is not ok."""
    for finding in findings:
        style = {OK: "green", REFUSED: "bold red"}.get(finding.level, "yellow")
        out.print(Text.assemble((f"{finding.level:<8}", style), f" {finding.check}: {finding.says}"))
        for line in finding.details:
            out.print(f"         {line}")
        if finding.hint and finding.level != OK:
            out.print(f"         hint: {finding.hint}")


def show_warnings(status: RunStatus) -> None:
    for stage in status.stages:
        for text in dict.fromkeys(stage.warnings):
            out.print(Text.assemble(("warning ", "yellow"), f"{stage.name}: {text}"))


def show_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows below these headings."""
    table = columns(*names)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def show_error(text: str) -> None:
    """Prints `error: ...`, an empty line and `hint: ...` on standard error."""
    first, _, rest = text.partition("\n")
    label, colon, message = first.partition(":")
    err.print(Text.assemble((label + colon, "bold red"), message, "\n" + rest if rest else ""))


def warn_of_cost(text: str, run: str) -> None:
    """Prints in red that a machine costs money, with the command that terminates it."""
    err.print(Text.assemble((text, "bold red"), f"\n\nhint: `launcher down {run}` terminates it"))


def say(text: str) -> None:
    out.print(text)


def is_piped() -> bool:
    """Whether the output is not a terminal."""
    return not out.is_terminal


def confirm(question: str) -> bool:
    """Asks the user. Return alone means no."""
    return Confirm.ask(question, console=out, default=False)


def draw(shown: RenderableType) -> None:
    """Prints tables and the like in the width of the terminal."""
    out.print(shown, soft_wrap=False)


def say_raw(text: str) -> None:
    """Prints the text of a log unchanged, as far as it can be encoded."""
    out.file.write(text.encode(errors="replace").decode())
    out.file.flush()


def columns(*names: str) -> Table:
    """An empty table with these headings; numbers are on the right, and names are never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold", no_wrap=name in WHOLE)
    return table


def label_table(*rows: tuple[Text | str, str], width: int = 0) -> Table:
    """A table with a label and a text in each row. Long texts are folded; rows without a text are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=width)
    table.add_column()
    for label, text in rows:
        if text:
            table.add_row(label, Text(text, overflow="fold"))
    return table
