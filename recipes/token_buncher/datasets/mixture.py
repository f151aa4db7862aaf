"""Two prepared data sets as one: the paper's mixture of both tasks, or one after the other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import check_least
from recipes.token_buncher.datasets.data_set import DataSet
from recipes.token_buncher.datasets.parquet import Prompt, read_prompts, template_of
from recipes.token_buncher.datasets.report import Report


@dataclass(frozen=True)
class Settings:
    """What the plan, or the command line, says."""

    bt_n: int = 1000
    """Rows of BeaverTails."""
    wmdp_n: int = 2000
    """Rows of WMDP, which are repeated when there are fewer."""
    seed: int = 42

    def __post_init__(self) -> None:
        check_least(self, 1, "bt_n", "wmdp_n")


def mix(settings: Settings, beavertails: Path, wmdp: Path) -> DataSet:
    """`bt_n` and `wmdp_n` training rows in a new order; the test rows are WMDP's."""
    template, (unsafe, hazardous) = _read_parts(beavertails, [wmdp])
    draw = np.random.default_rng(settings.seed)
    train = _take(unsafe["train"], settings.bt_n, draw) + _take(hazardous["train"], settings.wmdp_n, draw)
    train = [train[index] for index in draw.permutation(len(train)).tolist()]
    return _data_set(train, hazardous["test"], template, [beavertails, wmdp], [unsafe, hazardous])


def concatenate(beavertails: Path, wmdp: list[Path]) -> DataSet:
    """All rows of both, train after train and test after test."""
    template, parts = _read_parts(beavertails, wmdp)
    train, test = ([row for part in parts for row in part[split]] for split in ("train", "test"))
    return _data_set(train, test, template, [beavertails, *wmdp], parts)


def _take(rows: list[Prompt], count: int, draw: np.random.Generator) -> list[Prompt]:
    """`count` rows: every row as often as the others, and once more for some that are drawn."""
    whole, rest = divmod(count, len(rows))
    return rows * whole + [rows[index] for index in draw.permutation(len(rows))[:rest].tolist()]


def _read_parts(beavertails: Path, wmdp: list[Path]) -> tuple[str, list[dict[str, list[Prompt]]]]:
    folders = [beavertails, *wmdp]
    templates = {folder: template_of(folder / "train.parquet") for folder in folders}
    if len(set(templates.values())) > 1:
        listed = ", ".join(f"`{folder}` is `{template}`" for folder, template in templates.items())
        raise Mistake(f"the data sets have different templates: {listed}", "prepare them with one `--template_type`")
    parts = [{split: read_prompts(folder / f"{split}.parquet") for split in ("train", "test")} for folder in folders]
    return templates[beavertails], parts


def _data_set(
    train: list[Prompt], test: list[Prompt], template: str, folders: list[Path], parts: list[dict[str, list[Prompt]]]
) -> DataSet:
    read = sum(len(rows) for part in parts for rows in part.values())
    report = Report([folder.name for folder in folders], template, read)
    unseen = report.unseen(test, train)
    chosen = {prompt.question for prompt in train} | {prompt.question for prompt in test}
    report.dropped["not asked for"] = sum(
        prompt.question not in chosen for part in parts for rows in part.values() for prompt in rows
    )
    return DataSet(train, unseen, report)
