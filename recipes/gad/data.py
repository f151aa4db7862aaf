"""Turns chats with a teacher's answers into the parquet files that verl trains on.

    python -m recipes.gad.data SETTINGS.json --train FILE --val FILE --model FOLDER --out OUT --work WORK

FILE is JSONL or parquet in a shape of rows.py; FOLDER is the student's. Afterwards OUT holds train.parquet,
val.parquet, report.json and metrics.json. preflight/data.py looks at the rows without settings or model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recipes.common.data import rows
from recipes.common.data.tokens import Tokens
from recipes.common.stage import files
from recipes.common.stage.command import Mistake, Progress, run
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.parallel import process_map, spare
from recipes.common.stage.settings import check_least
from recipes.gad import data_report
from recipes.gad.data_split import BATCH_ROWS, Split, convert, write
from recipes.gad.preflight.data import Survey
from recipes.gad.rows import Row


@dataclass(frozen=True)
class Settings:
    """What the plan says about the data."""

    max_prompt_length: int
    """Tokens, the assistant's header included."""
    max_response_length: int
    """Tokens, the end token included."""
    train_batch: int
    drop_duplicates: bool
    sample: int | None
    """Train only on so many rows, evenly spaced over the file, and validate on a quarter as many; null: on all."""
    seed: int
    """Chooses among the evenly spaced samples."""
    max_over_length_share: float = 0.5
    """A warning tells when a larger share of the prompts is over the limit."""

    def __post_init__(self) -> None:
        check_least(self, 1, "max_prompt_length", "max_response_length", "train_batch")
        check_least(self, 4, "sample")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    train: Path
    val: Path
    model: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    sources = {"train": inputs.train, "val": inputs.val}
    prepare(settings, sources, inputs.model, inputs.out, Progress(inputs.work))


def prepare(settings: Settings, sources: dict[str, Path], model: Path, out: Path, progress: Progress) -> dict[str, Any]:
    """`out` holds both splits and the report, which is also printed and returned. If a row is bad, it holds no
    split."""
    sizes = {name: rows.count(path) for name, path in sources.items()}
    picks = {name: _picks(settings, name, size) for name, size in sizes.items()}
    total = sum(size if (some := picks[name]) is None else len(some) for name, size in sizes.items())
    surveys = {name: Survey(path) for name, path in sources.items()}
    out.mkdir(parents=True, exist_ok=True)
    parts = {name: out / f".{name}.parquet.part" for name in sources}
    limits = data_report.Limits(settings.max_prompt_length, settings.max_response_length)
    report: dict[str, Any] = {}
    done = 0
    with process_map(partial(convert, Tokens(model), limits), spare() if total > BATCH_ROWS else 0) as make:
        for name, survey in surveys.items():
            split = Split(name, survey.path, _kept_rows(settings, survey, picks[name]))
            counts = write(
                split, parts[name], make, limits, lambda rows, before=done: progress.step(before + rows, total)
            )
            counts.duplicates = len(survey.duplicates)
            if name == "train" and counts.rows < settings.train_batch:
                error = f"`{survey.path}` gives {counts.rows} rows, fewer than `train_batch` {settings.train_batch}"
                raise Mistake(error, f"add rows, or set `train_batch` to at most {counts.rows}")
            report[name] = counts.summary()
            done += survey.rows
    progress.step(done, total)
    for name, part in parts.items():
        part.replace(out / f"{name}.parquet")
    report["shared_prompts"] = len(surveys["train"].prompts & surveys["val"].prompts)
    for text in _warnings(settings, report):
        progress.warning(text)
        print(f"warning: {text}")
    print(data_report.table(report))
    files.write_json(out / "report.json", report)
    files.write_json(out / "metrics.json", data_report.flat(report))
    return report


def _kept_rows(settings: Settings, survey: Survey, picks: range | None) -> Iterator[Row]:
    for row in survey.read(picks):
        if not (settings.drop_duplicates and row.position in survey.duplicates):
            yield row


def _picks(settings: Settings, name: str, size: int) -> range | None:
    if settings.sample is None:
        return None
    return rows.spread(size, settings.sample if name == "train" else settings.sample // 4, settings.seed)


def _warnings(settings: Settings, report: dict[str, Any]) -> list[str]:
    texts = []
    for name in ("train", "val"):
        share = report[name]["truncated_rows"] / report[name]["rows"]
        if share > settings.max_over_length_share:
            limit = settings.max_prompt_length
            texts.append(f"{share:.0%} of the {name} prompts are over `max_prompt_length` {limit} and were shortened")
    if report["shared_prompts"]:
        texts.append(f"prompts in both train and val: {report['shared_prompts']:,}, so validation flatters")
    return texts


if __name__ == "__main__":
    run(main)
