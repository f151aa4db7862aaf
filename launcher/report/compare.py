"""Two runs side by side: what differs in what they were made from, what came of them, what they took. Pure."""

import json
from collections.abc import Iterator, Mapping

from launcher.format import duration
from launcher.report.evaluations import value_text
from launcher.report.facts import Facts
from launcher.report.outlook import main_metrics
from launcher.runfolder.plan import Plan, settings_of

Row = tuple[str, str, str]
NUMBERS = 8
"""Of each stage, those that tell most."""
HASH = 12


def comparison(first: Facts, second: Facts) -> Iterator[tuple[str, list[Row]]]:
    """Title -> rows of a name and both runs' values."""
    differs = _rows(origin(first.plan), origin(second.plan), only_different=True)
    yield "differences", differs or [("none", "", "")]
    trained = tuple(stage.name for plan in (first.plan, second.plan) for stage in plan.stages if stage.steps)
    numbers = _rows(final_metrics(first), final_metrics(second))
    numbers = [row for row in numbers if row[1] != row[2] or row[0].partition(" ")[0] in trained]
    if numbers:
        yield "metrics", numbers
    yield "time and cost", _rows(time_and_cost(first), time_and_cost(second))


def origin(plan: Plan) -> dict[str, str]:
    """Everything that a run's result follows from, and where it ran, under one name each."""
    code = plan.code
    facts = {
        "recipe": plan.recipe,
        "cloud": plan.machine.cloud,
        "machine": f"{plan.machine.nodes} x {' or '.join(plan.machine.accelerators) or 'CPU'}",
        "code": (code.commit or "no commit")[:HASH] + (" + changes" if code.dirty else ""),
        "recipe code": code.tree[:HASH],
        "image": plan.image.name if plan.image else "none",
        "environment": (plan.environment or "none")[:HASH],
        "stages": " ".join(stage.name for stage in plan.stages),
    }
    facts |= {f"package {name}": version for name, version in plan.packages.items()}
    facts |= {f"source {name}": f"{source.ref} {source.commit[:HASH]}" for name, source in plan.sources.items()}
    facts |= {
        f"model {name}": f"{model.repo} {(model.commit or model.revision)[:HASH]}"
        for name, model in plan.models.items()
    }
    facts |= {f"data {name}": f"{data.sha256[:HASH]}, {data.rows:,} rows" for name, data in plan.inputs.items()}
    for stage in plan.stages:
        facts |= {f"{stage.name} {name}": json.dumps(value) for name, value in sorted(settings_of(stage).items())}
    return facts


def final_metrics(facts: Facts) -> dict[str, str]:
    """The numbers that each stage ended with: its own sum, else those of its last step."""
    rows: dict[str, str] = {}
    for stage in facts.plan.stages:
        steps = facts.history.get(stage.name) or {}
        last = steps[max(steps)] if steps else {}
        numbers = facts.done.get(stage.name, {}).get("metrics") or last
        rows |= {f"{stage.name} {name}": value_text(numbers[name]) for name in main_metrics(numbers)[:NUMBERS]}
    return rows


def time_and_cost(facts: Facts) -> dict[str, str]:
    """Time, of all attempts, and money."""
    rows = {"state": facts.status.state}
    for stage in facts.status.stages:
        own = [attempt for attempt in facts.attempts if attempt.stage == stage.name]
        if own:
            tries = f", {len(own)} attempts" if len(own) > 1 else ""
            step = f", step {stage.step:,}" if stage.steps and stage.state != "done" else ""
            spent = sum((attempt.ended or facts.written) - attempt.started for attempt in own)
            rows[stage.name] = duration(spent) + tries + step
    if facts.began is not None:
        rows["whole run"] = duration((facts.ended or facts.written) - facts.began)
    rows["cost"] = f"${facts.cost:.2f}" if facts.cost is not None else "unknown" if facts.machines else "$0"
    return rows


def _rows(first: Mapping[str, str], second: Mapping[str, str], only_different: bool = False) -> list[Row]:
    """A row for each name, in the order of the first; `-` where a run has none."""
    names = dict.fromkeys([*first, *second])
    rows = [(name, first.get(name, "-"), second.get(name, "-")) for name in names]
    return [row for row in rows if not only_different or row[1] != row[2]]
