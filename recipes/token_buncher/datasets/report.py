"""The report on a data set's rows: how many were kept, how many were dropped and why, how long the prompts are."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

from recipes.common.stage.command import StageError
from recipes.token_buncher.datasets.parquet import Prompt

Item = TypeVar("Item")
BIN = 64
"""Tokens a bar of the histogram covers."""


@dataclass
class Report:
    """Filled while a data set is prepared."""

    source: list[str]
    template_type: str
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Why -> rows."""
    kept: dict[str, int] = field(default_factory=dict)
    """Split -> rows."""
    duplicates: dict[str, int] = field(default_factory=dict)
    """Split -> rows whose question an earlier row of the split has too."""
    tokens: Counter[int] = field(default_factory=Counter)
    """First length of a bar -> prompts kept, of both splits."""
    leakage: int = 0
    """Questions in both splits."""

    def fitting(self, prompts: list[Item], lengths: list[int], limit: int) -> list[Item]:
        """Those of at most `limit` tokens; the others are counted."""
        kept = [prompt for prompt, length in zip(prompts, lengths, strict=True) if length <= limit]
        self.dropped[f"prompt over {limit} tokens"] += len(prompts) - len(kept)
        return kept

    def unseen(self, test: list[Prompt], train: list[Prompt]) -> list[Prompt]:
        """The test prompts with a question that is not in `train`; the others are counted."""
        known = {prompt.question for prompt in train}
        kept = [prompt for prompt in test if prompt.question not in known]
        self.dropped["question is in train"] = len(test) - len(kept)
        return kept

    def split(self, name: str, prompts: list[Prompt], lengths: list[int]) -> None:
        """Adds a split to the report."""
        self.kept[name] = len(prompts)
        self.duplicates[name] = len(prompts) - len({prompt.question for prompt in prompts})
        self.tokens.update(length // BIN * BIN for length in lengths)

    def check(self, train: list[Prompt], test: list[Prompt]) -> None:
        """The written splits share no question: StageError when they do."""
        self.leakage = len({prompt.question for prompt in train} & {prompt.question for prompt in test})
        if self.leakage:
            raise StageError(f"questions in both train and test: {self.leakage}", "the splits were made wrongly")

    def value(self) -> dict[str, Any]:
        """What report.json holds."""
        bars = {f"{start}-{start + BIN - 1}": self.tokens[start] for start in sorted(self.tokens)}
        return {
            "source": self.source,
            "template_type": self.template_type,
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "duplicates": self.duplicates,
            "tokens": bars,
            "leakage": self.leakage,
        }

    def numbers(self) -> dict[str, int]:
        """What metrics.json holds."""
        kept = {f"{name}_rows": count for name, count in self.kept.items()}
        repeated = {f"{name}_duplicates": count for name, count in self.duplicates.items()}
        return {"rows": self.rows, **kept, **repeated, "dropped": sum(self.dropped.values()), "leakage": self.leakage}

    def __str__(self) -> str:
        lines = [f"rows          {self.rows:>8,}  {', '.join(self.source)}"]
        lines += [f"{name:<13} {count:>8,}  duplicates: {self.duplicates[name]:,}" for name, count in self.kept.items()]
        lines += [f"dropped       {count:>8,}  {why}" for why, count in sorted(self.dropped.items())]
        most = max(self.tokens.values(), default=1)
        for start in sorted(self.tokens):
            bar = "#" * max(1, self.tokens[start] * 40 // most)
            lines.append(f"{f'{start}-{start + BIN - 1}':<13} {self.tokens[start]:>8,}  {bar}")
        return "\n".join([*lines, f"{'in both':<13} {self.leakage:>8,}"])
