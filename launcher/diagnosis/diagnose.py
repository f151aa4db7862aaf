"""Why did a run end? The first rule that its logs match, else its own last words, else that nobody knows."""

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
"""The line that ends a traceback: an exception's name, and what it says; before it, who said it."""


@dataclass(frozen=True)
class Diagnosis:
    """The cause in a sentence, the line that shows it, what helps, and the command to give next."""

    cause: str
    evidence: Line | None
    help: str
    command: str
    known: bool = True
    also: tuple[tuple[str, Line], ...] = ()
    """What else the logs speak of: often what the cause has caused."""


def diagnose(plan: Plan, now: RunStatus, logs: Sequence[Log], rules: Sequence[Rule], typed: str | None) -> Diagnosis:
    """Of a run that ended without its result. `typed` is the launch command that the user gave last."""
    stage = plan.stage(now.current.name) if now.current else None
    command = _Commands(plan, stage, typed)
    if now.code == MISTAKE:  # the stage's last sentence is the cause, not what it may have got over before
        logs = [log.closing() if log.kind == "stage" else log for log in logs]
    found = {rule.name: match for rule in rules if (match := _first(rule, logs, command.facts))}
    if not found:
        return _unknown(now, logs, command)
    rule = next(one for one in rules if one.name in found)
    (cause, line, facts), *others = found.values()
    help, following = _filled(rule.help, facts), command.of(rule.next)
    if turned := _turn(rule, stage):
        changes = " and ".join(f"`{name}` from {before} to {after}" for name, before, after in turned)
        help = f"{changes}: {help}. The stage starts again"
        following = command.changed({name: after for name, _, after in turned})
    return Diagnosis(cause, line, help, following, also=tuple((cause, line) for cause, line, _ in others))


def _first(rule: Rule, logs: Sequence[Log], facts: Mapping[str, str]) -> tuple[str, Line, Mapping[str, str]] | None:
    """The rule's cause, the first line that speaks of it, and what is known to fill its sentences with."""
    for log in logs:
        if log.kind in rule.where and (match := rule.first(log.text)):
            known = {**facts, **{name: value for name, value in match.groupdict().items() if value}}
            return _filled(rule.cause, known), log.at(match.start()), known
    return None


class _Commands:
    """The commands that go on with a run."""

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
                *(f"--data {shlex.quote(f'{name}={one.path}')}" for name, one in plan.inputs.items()),
            ]
        )

    def of(self, rule: str) -> str:
        return {"resume": self.resume, "launch": self.launch}.get(rule) or _filled(rule, self.facts)

    def changed(self, settings: Mapping[str, object]) -> str:
        """The launch with other settings of the stage, which is done again."""
        name = self.facts["stage"]
        words = [f"--set {name}.{setting}={_shown(value)}" for setting, value in settings.items()]
        return " ".join([self.launch, *words, f"--redo {name}"])


def _turn(rule: Rule, stage: Stage | None) -> list[tuple[str, object, object]]:
    """The first of the rule's settings that the stage has and that can be turned, with what has to grow along: name,
    value, next value."""
    config = stage.config if stage else {}
    for knob in rule.knobs:
        before = config.get(knob.setting)
        if (after := knob.turned(before)) is None:
            continue
        along = config.get(knob.keeps) if knob.keeps else None
        grown = [(knob.keeps, along, int(along / knob.times))] if knob.keeps and along and knob.times else []
        return [(knob.setting, before, after), *grown]
    return []


def _unknown(now: RunStatus, logs: Sequence[Log], command: _Commands) -> Diagnosis:
    """What the run said itself, when it was a sentence with a hint; else the last exception, or the last line."""
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
    """The last exception that the log names, else its last line."""
    found = list(LAST_WORDS.finditer(log.text))
    end = found[-1].start() if found else len(log.text.rstrip()) - 1
    return log.at(end) if end >= 0 else None


def _filled(text: str, facts: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: facts.get(found[1], found[0]), text)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
