"""BeaverTails: the questions whose answer people found unsafe. Only the question is used, never the answer.

Its rows are {prompt, response, category, is_safe}; one question has several answers, so questions repeat.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import check_least
from recipes.token_buncher.datasets.data_set import DataSet, Texts
from recipes.token_buncher.datasets.parquet import Prompt
from recipes.token_buncher.datasets.report import Report
from recipes.token_buncher.datasets.rows import flag, read_all, text
from recipes.token_buncher.datasets.source import Source


@dataclass(frozen=True)
class Settings:
    """What the plan, or the command line, says."""

    template_type: str = "chat"
    max_prompt_length: int = 320
    """Tokens, the assistant's header included; longer prompts are dropped."""
    train_rows: int = 10240
    test_rows: int = 1024

    def __post_init__(self) -> None:
        check_least(self, 1, "max_prompt_length", "train_rows", "test_rows")


class Row(NamedTuple):
    question: str
    safe: bool
    position: int


def read(path: Path) -> list[Row]:
    """The file's rows; a Mistake that names bad ones."""
    return read_all(path, ("prompt", "is_safe"), _row)


def prepare(settings: Settings, sources: dict[str, Source], texts: Texts) -> DataSet:
    """The first `train_rows` unsafe rows, and of the rows after them those with a question that is not in train."""
    source = sources["source"]
    rows = read(source.path)
    report = Report([source.name], settings.template_type, len(rows))
    unsafe = [row for row in rows if not row.safe]
    report.dropped["labelled safe"] = len(rows) - len(unsafe)
    lengths = texts.lengths([row.question for row in unsafe])
    fitting = report.fitting(unsafe, lengths, settings.max_prompt_length)

    train, test = fitting[: settings.train_rows], []
    known, tested = {row.question for row in train}, set()
    for row in fitting[settings.train_rows :]:
        if row.question in known:
            report.dropped["question is in train"] += 1
        elif row.question in tested:
            report.dropped["question is in test already"] += 1
        elif len(test) == settings.test_rows:
            report.dropped["not asked for"] += 1
        else:
            test.append(row)
            tested.add(row.question)
    if not test:
        raise Mistake(
            f"`{source.path}` gives {len(fitting)} rows; after {len(train)} for training, no row with "
            "another question is left for the test",
            f"set `train_rows` below {len(fitting)}",
        )
    return DataSet(list(map(_prompt, train)), list(map(_prompt, test)), report)


def _row(row: dict[str, Any], position: int) -> Row:
    return Row(text(row, "prompt"), flag(row, "is_safe"), position)


def _prompt(row: Row) -> Prompt:
    return Prompt("beavertails", row.question, "safety", "entropy", "", row.position)
