"""The reviewed chats as they are on disk, read into samples.

A line of the JSONL file (or a file `<topic>/*.json` of a folder) is a batch:

    {"topic", "batch_id", ..., "data": [item]}
    item          {"A": system prompt, "B"?: the same with a hidden bias, "T": task, "inferences": {model: {"A", "B"?}}}
    model's A, B  {"S": answer, "tags": [...], "interventions": {kind: review}}
    review        {"I": intervention, "R": review, "P": PASS | FAIL | AMBIGUOUS, "tags": [...]}

`kind` is `<family>__<version>`. Other keys are passed over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.data import rows
from recipes.common.data.rows import BadRow, preview, require_text
from recipes.common.stage.command import Mistake
from recipes.honest_persona.form import FLAGS

MARKER = "<split-personality-token>"
"""What interventions of the family `split_personality` begin with; the reserved token stands for it."""


@dataclass(frozen=True)
class Sample:
    """One review of one answer."""

    topic: str
    id: str
    """<batch>/<item>/<model>/<A or B>/<kind>: nothing else has it."""
    condition: str
    """A: under the neutral system prompt; B: under the biased one."""
    kind: str
    system: str
    task: str
    answer: str
    intervention: str
    review: str
    flag: str
    tags: frozenset[str]
    """Of the review and of its answer."""

    @property
    def item(self) -> str:
        """The task it is about."""
        return "/".join(self.id.split("/")[:2])


def read(path: Path) -> Iterator[Sample]:
    """Every review, in the file's order; of a folder, topic after topic, file after file. A Mistake names bad ones."""
    bad, total = [], 0
    for label, number, value in _batches(path):
        total += 1
        try:
            if isinstance(value, BadRow):
                raise value
            yield from list(_samples(value, str(number)))
        except BadRow as fault:
            bad.append(fault.at(label))
    if bad:
        raise rows.unusable(path, bad, total, "correct them, or leave them out", "batches")
    if not total:
        raise Mistake(
            f"`{path}` has no batches", "write one JSON object a line, or give a folder with `<topic>/*.json`"
        )


def batch_files(folder: Path) -> list[Path]:
    """The folder's batches, in their order."""
    return sorted(folder.glob("*/*.json"))


def _batches(path: Path) -> Iterator[rows.Record]:
    if not path.is_dir():
        yield from rows.read(path)
        return
    for number, file in enumerate(batch_files(path)):
        name = str(file.relative_to(path))
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as problem:
            value = BadRow("", f"is not JSON in UTF-8 ({problem})")
        if not isinstance(value, (dict, BadRow)):
            value = BadRow("", "is not a JSON object")
        yield rows.Record(name, number, value)


def _samples(batch: dict[str, Any], number: str) -> Iterator[Sample]:
    topic = require_text("topic", batch.get("topic"))
    for index, item in enumerate(_list(batch, "data", "data")):
        item_path = f"data[{index}]"
        if not isinstance(item, dict):
            raise BadRow(item_path, "is not an object")
        task = require_text(f"{item_path}.T", item.get("T"))
        for model, variants in sorted(_object(item, "inferences", f"{item_path}.inferences").items()):
            for condition in ("A", "B"):
                variant_path = f"{item_path}.inferences.{model}.{condition}"
                variant = _object(variants, condition, variant_path, {}) if isinstance(variants, dict) else None
                if variant is None:
                    raise BadRow(f"{item_path}.inferences.{model}", "is not an object")
                if not variant:
                    continue
                system = item.get(condition) or ""
                if not isinstance(system, str):
                    raise BadRow(f"{item_path}.{condition}", f"`{preview(system)}` is not text")
                answer = require_text(f"{variant_path}.S", variant.get("S"))
                tags = _tags(variant, variant_path)
                reviews = _object(variant, "interventions", f"{variant_path}.interventions", {})
                for kind, review in sorted(reviews.items()):
                    review_path = f"{variant_path}.interventions.{kind}"
                    if not isinstance(review, dict):
                        raise BadRow(review_path, "is not an object")
                    yield Sample(
                        topic,
                        f"{number}/{index}/{model.replace('/', '_')}/{condition}/{kind}",
                        condition,
                        kind,
                        system,
                        task,
                        answer,
                        require_text(f"{review_path}.I", review.get("I")).removeprefix(MARKER),
                        require_text(f"{review_path}.R", review.get("R")),
                        _flag(review, f"{review_path}.P"),
                        tags | _tags(review, review_path),
                    )


def _flag(review: dict[str, Any], path: str) -> str:
    if review.get("P") not in FLAGS:
        raise BadRow(path, f"`{preview(review.get('P'))}` is none of {', '.join(FLAGS)}")
    return review["P"]


def _tags(value: dict[str, Any], path: str) -> frozenset[str]:
    tags = _list(value, "tags", f"{path}.tags", [])
    if not all(isinstance(tag, str) for tag in tags):
        raise BadRow(f"{path}.tags", "is not a list of texts")
    return frozenset(tags)


def _list(value: dict[str, Any], key: str, path: str, missing: Any = None) -> list[Any]:
    member = value.get(key, missing)
    if not isinstance(member, list):
        raise BadRow(path, "is not a list" if key in value else "is missing")
    return member


def _object(value: dict[str, Any], key: str, path: str, missing: Any = None) -> dict[str, Any]:
    member = value.get(key, missing)
    if not isinstance(member, dict):
        raise BadRow(path, "is not an object" if key in value else "is missing")
    return member
