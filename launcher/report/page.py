"""A run's facts as one HTML page, with what a reader might look for and not find, and why. Pure."""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from launcher.format import duration, moment, size
from launcher.report import charts, provenance
from launcher.report.evaluations import tables, value_text
from launcher.report.facts import Facts
from launcher.report.html import Html, fold, join, pairs, table, tag

EXPECTED = {"reward": "reward", "loss": "loss", "KL": "kl", "d_acc": "d_acc", "length": "length", "entropy": "entropy"}
"""What a report is opened for -> part of a metric's name."""


def page(facts: Facts, style: str, script: str, version: str) -> str:
    """The whole document; it asks for nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{facts.plan.run}: {facts.status.state}"),
        tag("style", Html(style)),
    )
    parts = [
        _head(facts),
        _trouble(facts),
        _section("Result", _result(facts)),
        _section("Timeline", charts.timeline(facts)),
        *(_section(f"Curves of {name}", part) for name, part in charts.curves(facts)),
        _section("GPUs", charts.gpus(facts)),
        _section("Evaluation", _evaluation(facts)),
        _section("Checkpoints", charts.checkpoints(facts)),
        _section("Provenance", provenance.lineage(facts)),
        _section("Settings", provenance.settings(facts)),
        _section("Cost", provenance.receipt(facts)),
        _section("Reproduce", provenance.again(facts)),
        _section("Missing", tag("ul", *(tag("li", sentence) for sentence in missing(facts)))),
        tag("footer", f"written {moment(facts.written)} by launcher {version}"),
    ]
    body = tag("body", tag("main", *parts), tag("script", Html(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(title: str, inside: str) -> Html:
    """Left out when there is nothing in it."""
    return tag("section", tag("h2", title), inside) if inside else Html("")


def _head(facts: Facts) -> Html:
    plan, began, ended = facts.plan, facts.began, facts.ended
    took = duration((ended or facts.written) - began) if began is not None else ""
    where = plan.machine.cloud + (f", {' or '.join(plan.machine.accelerators)}" if plan.machine.accelerators else "")
    cost = f"${facts.cost:.2f}" if facts.cost is not None else ""
    badge = tag("span", facts.status.state, class_=f"badge {facts.status.state}")
    return tag(
        "header",
        tag("h1", plan.run, " ", badge),
        pairs(
            ("recipe", plan.recipe),
            ("machine", where),
            ("started", moment(began) if began is not None else ""),
            ("took", took),
            ("cost", cost),
        ),
    )


def _trouble(facts: Facts) -> Html:
    """Why it ended as it did, and what the stages warned of."""
    diagnosis, status = facts.diagnosis, facts.status
    parts: list[Html] = []
    if status.error:
        parts.append(tag("p", tag("strong", "error: "), status.error))
    if diagnosis and diagnosis.cause != status.error:
        parts.append(tag("p", tag("strong", "cause: "), diagnosis.cause))
    if diagnosis and diagnosis.evidence:
        parts.append(tag("pre", f"{diagnosis.evidence.location}\n{diagnosis.evidence.text}"))
    if diagnosis:
        parts += [tag("p", tag("strong", "hint: "), diagnosis.help), tag("pre", diagnosis.command)]
    elif status.hint:
        parts.append(tag("p", tag("strong", "hint: "), status.hint))
    warnings = [f"{stage.name}: {text}" for stage in status.stages for text in dict.fromkeys(stage.warnings)]
    warned = [tag("p", text) for text in (*warnings, *status.warnings)]
    return join(_box("error", parts), _box("warning", warned))


def _box(kind: str, parts: list[Html]) -> Html:
    return tag("div", *parts, class_=f"box {kind}") if parts else Html("")


def _result(facts: Facts) -> Html:
    """The exported files, and each stage's last numbers."""
    manifest: Mapping[str, Mapping[str, object]] = (facts.manifest or {}).get("export", {})
    rows = [(name, size(int(str(file["bytes"]))), str(file["sha256"])) for name, file in manifest.items()]
    whole = sum(int(str(file["bytes"])) for file in manifest.values())
    about = (
        tag("p", f"exported model (stage {facts.plan.export}): {len(rows)} files, {size(whole)}") if rows else Html("")
    )
    trained = [stage.name for stage in facts.plan.stages if stage.steps and stage.name in facts.done]
    numbers = [
        fold(
            name,
            pairs(*((key, value_text(value)) for key, value in (done.get("metrics") or {}).items())),
            name in trained[-1:],
        )
        for name, done in facts.done.items()
    ]
    return join(about, fold("files", table(("file", "size", "sha256"), rows, False)), *numbers)


def _evaluation(facts: Facts) -> Html:
    return join(*(part for name, value in facts.evaluations.items() for part in [tag("h3", name), *tables(value)]))


def missing(facts: Facts) -> list[str]:
    """A sentence for each."""
    return list(_missing(facts))


def _missing(facts: Facts) -> Iterator[str]:
    names = {name.lower() for steps in facts.history.values() for metrics in steps.values() for name in metrics}
    absent = [label for label, part in EXPECTED.items() if not any(part in name for name in names)]
    if absent:
        yield f"no stage reported these metrics: {', '.join(absent)}"
    for stage, steps in facts.history.items():
        if not any(steps.values()):
            continue
        gaps = _gaps(list(steps))
        if gaps:
            yield f"{stage}: {gaps:,} steps have no metrics (they are recorded at most once a second)"
        broken = sum(
            1
            for metrics in steps.values()
            for value in metrics.values()
            if isinstance(value, float) and not math.isfinite(value)
        )
        if broken:
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
    """How many steps between the first and the last are not there; many at a regular distance are no gap."""
    if len(steps) < 2:
        return 0
    distance = min(later - earlier for earlier, later in pairwise(steps))
    return (steps[-1] - steps[0]) // distance + 1 - len(steps)
