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

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, Progress, run
from recipes.common.stage.inputs import StageInputs, read_inputs
from recipes.common.stage.settings import check_choice, check_least, read_settings
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
    """What the command line names."""

    before: Path
    after: Path
    data: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    settings = read_settings(inputs.settings, Settings)
    rows = read_rows(inputs.data / "val.parquet")
    inputs.work.mkdir(parents=True, exist_ok=True)
    inputs.out.mkdir(parents=True, exist_ok=True)
    masked = read_form(inputs.data).lora_mask
    models = {"before": (inputs.before, None), "after": (inputs.after, None)}
    if masked:  # merged weights act everywhere
        models["after"] = (inputs.after / "adapter", inputs.before)
    progress, reviews = Progress(inputs.work), {}
    for number, (when, (folder, base)) in enumerate(models.items()):
        path = inputs.work / f"{when}.json"
        reviews[when] = files.read_json(path)
        if reviews[when] is None:
            persona = _load(folder, base, inputs.data, settings)
            reviews[when] = []
            for some in persona.listener(settings.max_new_tokens, settings.validation_batch_size).listen(
                persona.model, rows
            ):
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
        cells = [_with_interval(score["accuracy"]) for score in (before, after)]
        cells += [str(score["unparsed"]) for score in (before, after)]
        cells += [f"{after['of_parsed']['value']:.3f}"]
        cells += [f"{after[name]['value']:.3f} of {after[name]['of']}" for name in ("detected", "false_positives")]
        lines.append(f"| {topic} | {after['samples']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Accuracy is over all samples, unparsed ones being wrong; intervals are 95 %."])


def _with_interval(share: dict[str, float]) -> str:
    return f"{share['value']:.3f} ({share['low']:.3f} to {share['high']:.3f})"


def _answers(rows: list[Row], reviews: list[dict[str, Any]]) -> list[Answer]:
    return [Answer(row.topic, row.flag, answer["said"]) for row, answer in zip(rows, reviews, strict=True)]


def _load(folder: Path, base: Path | None, data: Path, settings: Settings) -> Any:
    """The model of the folder, called in the way of the data's persona."""
    import torch

    from recipes.honest_persona.persona import load

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise Mistake("`device` is `cuda`, and no GPU is visible", "check `nvidia-smi`")
    if settings.device == "cpu":
        torch.set_num_threads(1)
    return load(folder, base, read_form(data), settings.device)


if __name__ == "__main__":
    run(main)
