"""Makes the sequences that the persona is trained and evaluated on.

    python -m recipes.honest_persona.prepare SETTINGS.json --data FILE --model MODEL --out OUT [--work WORK]

FILE is JSONL, or a folder with `<topic>/*.json` (schema.py). OUT then holds train.parquet, val.parquet, persona.json
(the form), report.json and metrics.json. The same data and settings give the same bytes.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import POSITIONAL, read_stage
from recipes.honest_persona.data_report import Report, report_text
from recipes.honest_persona.dataset import Row, write_rows
from recipes.honest_persona.encode import dummies, encode
from recipes.honest_persona.form import Form, embeddings, write_form
from recipes.honest_persona.selection import Settings, choose
from recipes.honest_persona.tokenize import Coder, sp_token


@dataclass(frozen=True, kw_only=True)
class Inputs:
    settings: Annotated[Path, POSITIONAL]
    data: Path
    model: Path
    out: Path
    work: Path | None = None


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    form, splits, report = prepare(settings, inputs.data, inputs.model)
    for name, rows in splits.items():
        write_rows(inputs.out / f"{name}.parquet", rows)
    write_form(form, inputs.out)
    write_json(inputs.out / "report.json", report)
    numbers = {f"{name}_rows": len(rows) for name, rows in splits.items()}
    write_json(inputs.out / "metrics.json", numbers | {"shared_tasks": report["shared_tasks"]})
    print(report_text(report))


def prepare(settings: Settings, data: Path, model: Path) -> tuple[Form, dict[str, list[Row]], dict[str, Any]]:
    """The form, the rows of each split, and report.json."""
    tokenizer, size = Tokens(model).tokenizer, embeddings(model)
    form = form_of(settings, tokenizer, size)
    coder, report = Coder(tokenizer, form), Report()
    if settings.use_dummy_data:
        splits = {"train": dummies(settings, size), "val": []}
        return form, splits, report.summary(frozenset(), **splits, shared=0)
    chosen = choose(settings, data, report)
    splits = {name: encode(samples, coder, settings, report) for name, samples in chosen.items()}
    if not splits["train"]:
        raise Mistake(
            f"`{data}`: no sample is left to train on\n{report_text(report.summary(frozenset(), **splits, shared=0))}",
            "read above what was dropped; check `train_topics`, `intervention_type` and `tags_to_filter`",
        )
    kept = {row.id for rows in splits.values() for row in rows}
    items = {name: {sample.item for sample in samples if sample.id in kept} for name, samples in chosen.items()}
    shared = len(items["train"] & items["val"])
    return form, splits, report.summary(frozenset(settings.tags_to_filter), **splits, shared=shared)


def form_of(settings: Settings, tokenizer: Any, size: int) -> Form:
    """How the persona is called, of a model with `size` tokens."""
    token = sp_token(tokenizer, settings.sp_token, size) if settings.add_sp_token else None
    names = {field.name for field in fields(Form)} - {"sp_token"}
    return Form(sp_token=token, **{name: getattr(settings, name) for name in names})


if __name__ == "__main__":
    run(main)
