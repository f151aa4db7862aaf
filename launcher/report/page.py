"""A run's facts as one HTML page that opens without a network, with what is missing in it, and why. Pure."""

import base64
import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from launcher.clouds.ledger import Entry
from launcher.format import duration, moment, size
from launcher.report.charts import curves, gpus
from launcher.report.evaluations import tables, value_text
from launcher.report.facts import Facts
from launcher.runfolder.plan import Plan, settings_of
from launcher.runfolder.status import StageStatus

SHOWN = 12
"""Curves of a stage, and checkpoints, that are shown at once; the rest is one click away."""
EXPECTED = {"reward": "reward", "loss": "loss", "KL": "kl", "d_acc": "d_acc", "length": "length", "entropy": "entropy"}
"""What readers look for in a report -> part of a metric's name."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
Rows = list[tuple[str, ...]]


def page(facts: Facts, style: str, script: str, version: str) -> str:
    """The whole document; it asks for nothing from anywhere. All texts of the run are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # needs 0.1 s, for this only

    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    templates = Environment(
        autoescape=True,
        finalize=_visible,
        loader=FileSystemLoader(Path(__file__).parent),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return templates.get_template("page.html").render(
        facts=facts,
        plan=facts.plan,
        status=facts.status,
        diagnosis=facts.diagnosis,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        style=style,
        script=script,
        version=version,
        written=moment(facts.written),
        shown=SHOWN,
        summary=_summary(facts),
        warnings=[
            *(f"{stage.name}: {text}" for stage in facts.status.stages for text in dict.fromkeys(stage.warnings)),
            *facts.status.warnings,
        ],
        **_results(facts),
        timeline=_timeline(facts),
        curves=list(curves(facts)),
        gpus=gpus(facts),
        evaluations=[(name, tables(value)) for name, value in facts.evaluations.items()],
        checkpoints=[
            (stage.name, checkpoint.name, f"{checkpoint.step:,}", moment(checkpoint.time))
            for stage in facts.status.stages
            for checkpoint in stage.checkpoints
        ],
        **_provenance(facts),
        **_costs(facts),
        commands=_commands(facts),
        missing=list(missing(facts)),
    )


def _visible(value: object) -> object:
    """Markup as it is; any other value as text, with a replacement sign for each character that nobody can see."""
    from markupsafe import Markup

    return value if isinstance(value, Markup) else CONTROL.sub("�", str(value))


def _summary(facts: Facts) -> Rows:
    machine, began = facts.plan.machine, facts.began
    return [
        ("recipe", facts.plan.recipe),
        ("machine", ", ".join(filter(None, (machine.cloud, " or ".join(machine.accelerators))))),
        ("started", moment(began) if began is not None else ""),
        ("took", duration((facts.ended or facts.written) - began) if began is not None else ""),
        ("cost", f"${facts.cost:.2f}" if facts.cost is not None else ""),
    ]


def _results(facts: Facts) -> dict[str, Any]:
    """The exported files, and the last metrics of each stage."""
    manifest: Mapping[str, Mapping[str, Any]] = (facts.manifest or {}).get("export", {})
    counted = [stage.name for stage in facts.status.stages if stage.steps and stage.name in facts.done]
    metrics = {name: done.get("metrics") or {} for name, done in facts.done.items()}
    return {
        "files": [(name, size(int(file["bytes"])), str(file["sha256"])) for name, file in manifest.items()],
        "total_size": size(sum(int(file["bytes"]) for file in manifest.values())),
        "results": [
            (stage, [(name, value_text(value)) for name, value in numbers.items()], stage in counted[-1:])
            for stage, numbers in metrics.items()
        ],
    }


def _timeline(facts: Facts) -> list[tuple[str, Rows, str]]:
    """A row for each stage: its name, a bar (position, state, title) for each attempt, and a text."""
    began, ended = facts.began, facts.ended or facts.written
    if began is None:
        return []
    whole = max(ended - began, 1e-9)
    rows = []
    for stage in facts.status.stages:
        bars: Rows = []
        spent = 0.0
        for attempt in (attempt for attempt in facts.attempts if attempt.stage == stage.name):
            left, width = attempt.started - began, (attempt.ended or facts.written) - attempt.started
            position = f"left:{100 * left / whole:.2f}%;width:{max(100 * width / whole, 0.3):.2f}%"
            bars.append((position, attempt.state, f"attempt {attempt.number}: {attempt.state}, {duration(width)}"))
            spent += width
        rows.append((stage.name, bars, _progress(stage, len(bars), spent)))
    return rows


def _progress(stage: StageStatus, attempts: int, spent: float) -> str:
    texts = (
        stage.state if stage.state != "done" else "",
        duration(spent) if attempts else "",
        f"{stage.step:,} of {stage.steps:,} steps" if stage.steps and stage.step else "",
        f"{attempts} attempts" if attempts > 1 else "",
    )
    return ", ".join(filter(None, texts))


def _provenance(facts: Facts) -> dict[str, Any]:
    """Every pin and hash, and the settings of each stage."""
    plan, code = facts.plan, facts.plan.code
    commit = f"commit {code.commit}" if code.commit else "no git commit"
    return {
        "lineage": [
            ("plan", f"sha256 {facts.plan_sha256}" if facts.plan_sha256 else ""),
            ("code", commit + (", with uncommitted changes" if code.dirty else "")),
            ("recipe code", f"sha256 {code.tree}"),
            ("image", _image(plan)),
            ("environment", f"sha256 {plan.environment} of the locked packages" if plan.environment else ""),
            ("packages", ", ".join(f"{name} {version}" for name, version in plan.packages.items())),
        ],
        "models": [(name, model.repo, model.revision, model.commit or "") for name, model in plan.models.items()],
        "sources": [(name, source.git, source.ref, source.commit) for name, source in plan.sources.items()],
        "inputs": [
            (name, data.path, f"{data.rows:,}", size(data.bytes), data.sha256) for name, data in plan.inputs.items()
        ],
        "fingerprints": [
            (name, str(summary.get("fingerprint")))
            for name, summary in (facts.manifest or {}).get("stages", {}).items()
        ],
        "settings": [
            (stage.name, [(name, json.dumps(value)) for name, value in sorted(settings_of(stage).items())])
            for stage in plan.stages
        ],
    }


def _image(plan: Plan) -> str:
    if plan.image is None:
        return ""
    over = ", with uncommitted code mounted over its own" if plan.image.overlay else ""
    return plan.image.name + (f" @ {plan.image.digest}" if plan.image.digest else "") + over


def _costs(facts: Facts) -> dict[str, Rows]:
    """The sum and the budget, and a row for each machine that was requested."""
    budget = facts.plan.budget
    allowed = [f"${budget.max_cost:.2f}"] if budget.max_cost is not None else []
    allowed += [f"{budget.max_hours:g} hours"] if budget.max_hours is not None else []
    total = f"${facts.cost:.2f}" if facts.cost is not None else "" if facts.machines else "no machine was rented"
    return {
        "cost": [("total", total), ("budget", ", ".join(allowed))],
        "machines": [_machine(entry, facts.written) for entry in facts.machines],
    }


def _machine(entry: Entry, now: float) -> tuple[str, ...]:
    cost = entry.cost(now)
    return (
        entry.machine or "unknown",
        " ".join(filter(None, (entry.cloud or entry.clouds, entry.region))),
        moment(entry.asked),
        duration(entry.hours(now) * 3600),
        f"{entry.price:.2f}" if entry.price is not None else "?",
        f"{cost:.2f}" if cost is not None else "?",
        entry.end or ("" if entry.ended else "still running"),
    )


def _commands(facts: Facts) -> list[str]:
    """The shell commands that make the run again, from the code to the check of its data."""
    plan = facts.plan
    commit = [f"git checkout {plan.code.commit}" + ("   # and the uncommitted changes" * plan.code.dirty)]
    data = "".join(f" --data {shlex.quote(f'{name}={data.path}')}" for name, data in plan.inputs.items())
    return [
        *(commit if plan.code.commit else []),
        f"make image RECIPE={plan.recipe}" if plan.image else "make setup-cpu",
        *(facts.commands or [f"launcher launch {plan.recipe} --cloud {plan.machine.cloud} --run {plan.run}{data}"]),
        *(f"sha256sum {shlex.quote(data.path)}   # {data.sha256}" for data in plan.inputs.values()),
    ]


def missing(facts: Facts) -> Iterator[str]:
    """A sentence for each thing that a reader may look for and not find."""
    names = {name.lower() for steps in facts.history.values() for metrics in steps.values() for name in metrics}
    absent = [label for label, part in EXPECTED.items() if not any(part in name for name in names)]
    if absent:
        yield f"no stage reported these metrics: {', '.join(absent)}"
    for stage, steps in facts.history.items():
        if not any(steps.values()):
            continue
        if gaps := _gaps(list(steps)):
            yield f"{stage}: {gaps:,} steps have no metrics (they are recorded at most once a second)"
        values = [value for metrics in steps.values() for value in metrics.values()]
        if broken := sum(isinstance(value, float) and not math.isfinite(value) for value in values):
            yield f"{stage}: {broken:,} values are NaN or infinite, and are left out of the curves"
    if not facts.evaluations:
        yield "no evaluation: no stage wrote one, or it was not copied here"
    if not facts.gpus:
        yield "no GPU use: the machine had no GPU, or no `nvidia-smi`"
    if facts.manifest is None:
        yield "no manifest: the model is not exported yet"
    if not facts.commands:
        yield "no launch commands: they were not recorded"
    for machine in facts.machines:
        if machine.price is None:
            cloud = machine.cloud or machine.clouds
            yield f"the price of a machine on {cloud} is unknown: the total does not include it"


def _gaps(steps: list[int]) -> int:
    """How many steps are missing between the first and the last; steps at a regular distance have no gap."""
    if len(steps) < 2:
        return 0
    distance = min(later - earlier for earlier, later in pairwise(steps))
    return (steps[-1] - steps[0]) // distance + 1 - len(steps)
