"""Why a run ended: the first rule that its logs match, else the run's own error, else the last line of its log."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher.diagnosis.evidence import Line, Log
from launcher.diagnosis.rules import Rule
from launcher.runfolder.plan import Plan, Stage
from launcher.runfolder.problem import MISTAKE
from launcher.runfolder.status import RunStatus

LAST_WORDS = re.compile(
    r"^[^\w\n]*(?:\([^)\n]*\) ?|\[?rank\d+\]?: ?)?\w[\w.]*(?:Error|Exception|Interrupt|Exit)\b.*", re.M
)
"""The line that ends a traceback: the name of an exception, and its text. A process may print its name before it."""


@dataclass(frozen=True)
class Diagnosis:
    """The cause in a sentence, the line that shows it, what helps, and the next command."""

    cause: str
    evidence: Line | None
    help: str
    command: str
    known: bool = True
    also: tuple[tuple[str, Line], ...] = ()
    """Other rules that the logs match: often effects of the cause."""


def diagnose(plan: Plan, now: RunStatus, logs: Sequence[Log], rules: Sequence[Rule], typed: str | None) -> Diagnosis:
    """The diagnosis of a run that ended without its result. `typed` is the last launch command of the user."""
    stage = plan.stage(now.current.name) if now.current else None
    command = _Commands(plan, stage, typed)
    if now.code == MISTAKE:  # the stage's last error is the cause, not an earlier one that it survived
        logs = [log.closing() if log.kind == "stage" else log for log in logs]
    matches = {rule.name: match for rule in rules if (match := _first(rule, logs, command.facts))}
    if not matches:
        return _unknown(now, logs, command)
    rule = next(rule for rule in rules if rule.name in matches)
    (cause, line, facts), *others = matches.values()
    help, following = _filled(rule.help, facts), command.of(rule.next)
    if changes := _changes(rule, stage):
        texts = " and ".join(f"`{name}` from {before} to {after}" for name, before, after in changes)
        help = f"{texts}: {help}. The stage starts again"
        following = command.changed({name: after for name, _, after in changes})
    return Diagnosis(cause, line, help, following, also=tuple((cause, line) for cause, line, _ in others))


def _first(rule: Rule, logs: Sequence[Log], facts: Mapping[str, str]) -> tuple[str, Line, Mapping[str, str]] | None:
    """The rule's cause, the first line that it matches, and the values for the rule's sentences."""
    for log in logs:
        if log.kind in rule.where and (match := rule.first(log.text)):
            known = {**facts, **{name: value for name, value in match.groupdict().items() if value}}
            return _filled(rule.cause, known), log.at(match.start()), known
    return None


class _Commands:
    """The commands that continue a run."""

    def __init__(self, plan: Plan, stage: Stage | None, typed: str | None):
        cloud = plan.machine.cloud
        self.stage = stage
        self.facts = {"run": plan.run, "recipe": plan.recipe, "cloud": cloud, "stage": stage.name if stage else ""}
        self.resume = f"launcher launch --resume {plan.run}" + (f" --cloud {cloud}" if cloud != "local" else "")
        self.launch = typed or " ".join(
            [
                f"launcher launch {plan.recipe}",
                *([f"--cloud {cloud}"] if cloud != "local" else []),
                *([f"--run {plan.run}"] if plan.run != plan.recipe.replace("_", "-") else []),
                *(f"--data {shlex.quote(f'{name}={data.path}')}" for name, data in plan.inputs.items()),
            ]
        )

    def of(self, rule: str) -> str:
        return {"resume": self.resume, "launch": self.launch}.get(rule) or _filled(rule, self.facts)

    def changed(self, settings: Mapping[str, object]) -> str:
        """The launch with other settings of the stage, which is repeated."""
        name = self.facts["stage"]
        options = [f"--set {name}.{setting}={_shown(value)}" for setting, value in settings.items()]
        return " ".join([self.launch, *options, f"--redo {name}"])


def _changes(rule: Rule, stage: Stage | None) -> list[tuple[str, object, object]]:
    """The first of the rule's settings that the stage has and that can be changed, and the setting that grows with it:
    name, value, next value."""
    config = stage.config if stage else {}
    for knob in rule.knobs:
        before = config.get(knob.setting)
        if (after := knob.next_value(before)) is None:
            continue
        along = config.get(knob.keeps) if knob.keeps else None
        grown = [(knob.keeps, along, int(along / knob.times))] if knob.keeps and along and knob.times else []
        return [(knob.setting, before, after), *grown]
    return []


def _unknown(now: RunStatus, logs: Sequence[Log], command: _Commands) -> Diagnosis:
    """The run's own error, if it has a useful hint; else the last exception, or the last line."""
    if now.error and now.hint and not now.hint.startswith("read "):
        return Diagnosis(now.error, None, now.hint, command.launch)
    if now.state == "lost":
        cause = "the node program ended and reported nothing: it was killed, or its machine was terminated"
        return Diagnosis(cause, None, "only the steps since the last checkpoint are lost", command.resume)
    for log in logs:
        if log.kind in ("stage", "node", "slurm") and (line := _last(log)):
            help = "the cause is not known. Read the lines before this one in the log"
            return Diagnosis("unknown", line, help, command.resume, known=False)
    return Diagnosis("unknown", None, "its logs are empty", command.resume, known=False)


def _last(log: Log) -> Line | None:
    """The line of the last exception in the log, else its last line."""
    exceptions = list(LAST_WORDS.finditer(log.text))
    end = exceptions[-1].start() if exceptions else len(log.text.rstrip()) - 1
    return log.at(end) if end >= 0 else None


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: facts.get(match[1], match[0]), text)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
