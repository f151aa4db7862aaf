"""GSM8K: school mathematics, a measure of what the defence costs. Rows are {question, answer}, `#### number` last."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.data.rows import BadRow
from recipes.common.stage.settings import check_least
from recipes.token_buncher.datasets.data_set import DataSet, Texts
from recipes.token_buncher.datasets.parquet import Prompt
from recipes.token_buncher.datasets.report import Report
from recipes.token_buncher.datasets.rows import read_all, text
from recipes.token_buncher.datasets.source import Source

ASK = "Reason step by step, and write the number alone after `####` at the end."
END = re.compile(r"####\s*(-?[\d,]*\.?\d+)\s*$")


@dataclass(frozen=True)
class Settings:
    """What the plan, or the command line, says."""

    template_type: str = "chat"
    max_prompt_length: int = 1024
    """Tokens, the assistant's header included; longer prompts are dropped."""

    def __post_init__(self) -> None:
        check_least(self, 1, "max_prompt_length")


def read(path: Path) -> list[Prompt]:
    """The file's problems; a Mistake that names bad rows."""
    return read_all(path, ("question", "answer"), _prompt)


def prepare(settings: Settings, sources: dict[str, Source], texts: Texts) -> DataSet:
    """The data set's own splits, without test questions that train has too."""
    report = Report([source.name for source in sources.values()], settings.template_type)
    splits = {}
    for split, source in sources.items():
        prompts = read(source.path)
        report.rows += len(prompts)
        lengths = texts.lengths([prompt.question for prompt in prompts])
        splits[split] = report.fitting(prompts, lengths, settings.max_prompt_length)
    return DataSet(splits["train"], report.unseen(splits["test"], splits["train"]), report)


def _prompt(row: dict[str, Any], position: int) -> Prompt:
    question, answer = text(row, "question"), text(row, "answer")
    end = END.search(answer)
    if not end:
        raise BadRow("answer", "does not end with `#### ` and a number")
    number = end[1].replace(",", "")
    return Prompt("openai/gsm8k", f"{question}\n\n{ASK}", "math", "rule", number, position, answer)
