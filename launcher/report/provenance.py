"""What a run was made from, what it cost, and how to make it again. Pure."""

import json
import shlex

from launcher.clouds.ledger import Entry
from launcher.format import duration, moment, size
from launcher.report.facts import Facts
from launcher.report.html import Html, fold, join, pairs, table, tag
from launcher.runfolder.plan import Plan, settings_of


def lineage(facts: Facts) -> Html:
    """Every pin and hash."""
    plan, code = facts.plan, facts.plan.code
    dirty = ", with uncommitted changes" if code.dirty else ""
    prints = (facts.manifest or {}).get("stages", {})
    models = [(name, model.repo, model.revision, model.commit or "") for name, model in plan.models.items()]
    sources = [(name, source.git, source.ref, source.commit) for name, source in plan.sources.items()]
    inputs = [(name, data.path, f"{data.rows:,}", size(data.bytes), data.sha256) for name, data in plan.inputs.items()]
    stages = [(name, str(facts_.get("fingerprint"))) for name, facts_ in prints.items()]
    return join(
        pairs(
            ("plan", f"sha256 {facts.plan_sha256}" if facts.plan_sha256 else ""),
            ("code", (f"commit {code.commit}" if code.commit else "no git commit") + dirty),
            ("recipe code", f"sha256 {code.tree}"),
            ("image", _image(plan)),
            ("environment", f"sha256 {plan.environment} of the locked packages" if plan.environment else ""),
            ("packages", ", ".join(f"{name} {version}" for name, version in plan.packages.items())),
        ),
        table(("model", "repository", "revision", "commit"), models, False),
        table(("source", "repository", "ref", "commit"), sources, False),
        table(("input", "file", "rows", "size", "sha256"), inputs, False),
        fold("stage fingerprints", table(("stage", "sha256"), stages, False)),
    )


def settings(facts: Facts) -> Html:
    """What each stage was told."""
    return join(
        *(
            fold(stage.name, pairs(*((name, json.dumps(value)) for name, value in sorted(settings_of(stage).items()))))
            for stage in facts.plan.stages
        )
    )


def receipt(facts: Facts) -> Html:
    """A line for each machine that was asked for, and their sum."""
    rows = [_machine_row(machine, facts.written) for machine in facts.machines]
    budget = facts.plan.budget
    allowed = [f"${budget.max_cost:.2f}"] if budget.max_cost is not None else []
    allowed += [f"{budget.max_hours:g} hours"] if budget.max_hours is not None else []
    total = f"${facts.cost:.2f}" if facts.cost is not None else "" if facts.machines else "no machine was rented"
    head = ("machine", "where", "requested", "time", "$/hour", "$", "end")
    return join(pairs(("total", total), ("budget", ", ".join(allowed))), table(head, rows, False))


def again(facts: Facts) -> Html:
    """The commands, from the code to the proof that it is the same run."""
    plan = facts.plan
    lines = []
    if plan.code.commit:
        lines.append(f"git checkout {plan.code.commit}" + ("   # and the uncommitted changes" * plan.code.dirty))
    lines.append(f"make image RECIPE={plan.recipe}" if plan.image else "make setup-cpu")
    commands = [command.text for command in facts.commands]
    lines += commands or [f"launcher launch {plan.recipe} --cloud {plan.machine.cloud} --run {plan.run}" + _data(plan)]
    lines += [f"sha256sum {shlex.quote(data.path)}   # {data.sha256}" for data in plan.inputs.values()]
    origin = "as you typed them" if commands else "derived from the plan"
    return join(
        tag("p", f"These commands ({origin}) make the same plan.json again. Run them in the project's folder:"),
        tag("pre", "\n".join(lines)),
        tag("p", f"sha256 of plan.json: {facts.plan_sha256}") if facts.plan_sha256 else Html(""),
    )


def _image(plan: Plan) -> str:
    if plan.image is None:
        return ""
    over = ", with with uncommitted code mounted over its own" if plan.image.overlay else ""
    return f"{plan.image.name}" + (f" @ {plan.image.digest}" if plan.image.digest else "") + over


def _data(plan: Plan) -> str:
    return "".join(f" --data {shlex.quote(f'{name}={data.path}')}" for name, data in plan.inputs.items())


def _machine_row(machine: Entry, now: float) -> tuple[str, ...]:
    cost = machine.cost(now)
    return (
        machine.machine or "unknown",
        " ".join(filter(None, (machine.cloud or machine.clouds, machine.region))),
        moment(machine.asked),
        duration(machine.hours(now) * 3600),
        f"{machine.price:.2f}" if machine.price is not None else "?",
        f"{cost:.2f}" if cost is not None else "?",
        machine.end or ("" if machine.ended else "still running"),
    )
