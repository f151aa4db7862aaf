"""Two runs side by side: what differs in what they were made from, what came of them, what they took. Pure."""

import json
from collections.abc import Iterator, Mapping

from launcher.format import duration
from launcher.report.evaluations import shown
from launcher.report.facts import Facts
from launcher.report.outlook import telling
from launcher.runfolder.plan import Plan, settings_of

Row = tuple[str, str, str]
NUMBERS = 8
"""Of each stage, those that tell most."""
HASH = 12


def compared(one: Facts, other: Facts) -> Iterator[tuple[str, list[Row]]]:
    """Title -> rows of a name and both runs' values."""
    differs = _rows(made_from(one.plan), made_from(other.plan), only_different=True)
    yield "differences", differs or [("none", "", "")]
    trained = tuple(stage.name for plan in (one.plan, other.plan) for stage in plan.stages if stage.steps)
    numbers = _rows(came_of(one), came_of(other))
    numbers = [row for row in numbers if row[1] != row[2] or row[0].partition(" ")[0] in trained]
    if numbers:
        yield "metrics", numbers
    yield "time and cost", _rows(took(one), took(other))


def made_from(plan: Plan) -> dict[str, str]:
    """Everything that a run's result follows from, and where it ran, under one name each."""
    code = plan.code
    found = {
        "recipe": plan.recipe,
        "cloud": plan.machine.cloud,
        "machine": f"{plan.machine.nodes} x {' or '.join(plan.machine.accelerators) or 'CPU'}",
        "code": (code.commit or "no commit")[:HASH] + (" + changes" if code.dirty else ""),
        "recipe code": code.tree[:HASH],
        "image": plan.image.name if plan.image else "none",
        "environment": (plan.environment or "none")[:HASH],
        "stages": " ".join(stage.name for stage in plan.stages),
    }
    found |= {f"package {name}": version for name, version in plan.packages.items()}
    found |= {f"source {name}": f"{one.ref} {one.commit[:HASH]}" for name, one in plan.sources.items()}
    found |= {f"model {name}": f"{one.repo} {(one.commit or one.revision)[:HASH]}" for name, one in plan.models.items()}
    found |= {f"data {name}": f"{one.sha256[:HASH]}, {one.rows:,} rows" for name, one in plan.inputs.items()}
    for stage in plan.stages:
        found |= {f"{stage.name} {name}": json.dumps(value) for name, value in sorted(settings_of(stage).items())}
    return found


def came_of(facts: Facts) -> dict[str, str]:
    """The numbers that each stage ended with: its own sum, else those of its last step."""
    found: dict[str, str] = {}
    for stage in facts.plan.stages:
        steps = facts.history.get(stage.name) or {}
        last = steps[max(steps)] if steps else {}
        numbers = facts.done.get(stage.name, {}).get("metrics") or last
        found |= {f"{stage.name} {name}": shown(numbers[name]) for name in telling(numbers)[:NUMBERS]}
    return found


def took(facts: Facts) -> dict[str, str]:
    """Time, of all attempts, and money."""
    found = {"state": facts.status.state}
    for stage in facts.status.stages:
        own = [one for one in facts.attempts if one.stage == stage.name]
        if own:
            tries = f", {len(own)} attempts" if len(own) > 1 else ""
            step = f", step {stage.step:,}" if stage.steps and stage.state != "done" else ""
            spent = sum((one.ended or facts.written) - one.started for one in own)
            found[stage.name] = duration(spent) + tries + step
    if facts.began is not None:
        found["whole run"] = duration((facts.ended or facts.written) - facts.began)
    found["cost"] = f"${facts.cost:.2f}" if facts.cost is not None else "unknown" if facts.machines else "$0"
    return found


def _rows(one: Mapping[str, str], other: Mapping[str, str], only_different: bool = False) -> list[Row]:
    """A row for each name, in the order of the first; `-` where a run has none."""
    names = dict.fromkeys([*one, *other])
    rows = [(name, one.get(name, "-"), other.get(name, "-")) for name in names]
    return [row for row in rows if not only_different or row[1] != row[2]]
