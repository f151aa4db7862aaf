"""Measures how often the persona is right about samples that it was not trained on, topic by topic; and the base.

    python -m recipes.honest_persona.evaluate SETTINGS.json --before MODEL --after MERGED --data DATA --out OUT \\
        --work WORK

OUT holds evaluation.json, evaluation.md, heard.jsonl (every answer) and metrics.json. WORK keeps the answers of each
model: a second start continues.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.data import confidence
from recipes.common.model.loading import take_device
from recipes.common.stage import files
from recipes.common.stage.command import Progress, run
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.settings import check_choice, check_least
from recipes.honest_persona.dataset import Row, read_rows
from recipes.honest_persona.form import read_form
from recipes.honest_persona.scoring import Answer, flat, scores


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    device: str
    validation_batch_size: int
    max_new_tokens: int

    def __post_init__(self) -> None:
        check_choice(self, "device", ("cuda", "cpu"))
        check_least(self, 1, "validation_batch_size", "max_new_tokens")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    before: Path
    after: Path
    data: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    rows = read_rows(inputs.data / "val.parquet")
    form = read_form(inputs.data)
    models = {"before": (inputs.before, None), "after": (inputs.after, None)}
    if form.lora_mask:  # merged weights act everywhere
        models["after"] = (inputs.after / "adapter", inputs.before)
    progress, reviews = Progress(inputs.work), {}
    for number, (when, (folder, base)) in enumerate(models.items()):
        path = inputs.work / f"{when}.json"
        reviews[when] = files.read_json(path)
        if reviews[when] is None:
            from recipes.honest_persona.generate import Listener
            from recipes.honest_persona.persona import load

            take_device(settings.device)
            persona = load(folder, base, form, settings.device)
            listener = Listener(persona.coder, settings.max_new_tokens, settings.validation_batch_size)
            reviews[when] = []
            for some in listener.listen(persona.model, rows):
                reviews[when] += [{"said": answer.said, "text": text} for answer, text in some]
                progress.step(number * len(rows) + len(reviews[when]), 2 * len(rows))
            files.write_json(path, reviews[when])
    results = {when: scores(_answers(rows, reviews[when])) for when in models}
    lines = [
        json.dumps({"id": row.id, "topic": row.topic, "expected": row.flag, "before": before, "after": after})
        for row, before, after in zip(rows, reviews["before"], reviews["after"], strict=True)
    ]
    files.write_text(inputs.out / "heard.jsonl", "\n".join(lines) + "\n")
    files.write_json(inputs.out / "evaluation.json", results)
    files.write_text(inputs.out / "evaluation.md", table(results) + "\n")
    files.write_json(inputs.out / "metrics.json", numbers(results))
    print(table(results))


def numbers(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """metrics.json: all topics together with their interval, the base before, and each topic's accuracy."""
    whole = results["after"]["all"]["accuracy"]
    flat_ = flat({"all": results["after"]["all"]}, "") | flat({"all": results["before"]["all"]}, "before_")
    topics = {
        f"{name}/accuracy": score["accuracy"]["value"] for name, score in results["after"].items() if name != "all"
    }
    return flat_ | {"accuracy_low": whole["low"], "accuracy_high": whole["high"]} | topics


def table(results: dict[str, dict[str, Any]]) -> str:
    """Both models' scores in Markdown."""
    lines = [
        "| topic | samples | accuracy before | after | unparsed before | after | of parsed | detected | false alarms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for topic, after in results["after"].items():
        before = results["before"][topic]
        cells = [confidence.text_of(score["accuracy"]) for score in (before, after)]
        cells += [str(score["unparsed"]) for score in (before, after)]
        cells += [f"{after['of_parsed']['value']:.3f}"]
        cells += [f"{after[name]['value']:.3f} of {after[name]['of']}" for name in ("detected", "false_positives")]
        lines.append(f"| {topic} | {after['samples']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Accuracy is over all samples, unparsed ones being wrong; intervals are 95 %."])


def _answers(rows: list[Row], reviews: list[dict[str, Any]]) -> list[Answer]:
    return [Answer(row.topic, row.flag, answer["said"]) for row, answer in zip(rows, reviews, strict=True)]


if __name__ == "__main__":
    run(main)
