"""What happened to the rows of a split, as numbers and as a table."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from recipes.gad.truncate import ShortChat

PERCENTILES = (50, 95, 99)

LABELS = {
    "rows": "rows",
    "duplicates": "duplicate rows found",
    "truncated_rows": "prompts over the limit",
    "dropped_turns": "old messages left out",
    "cut_rows": "last messages cut at the start",
    "unended_responses": "teacher texts over the limit",
}


class Limits(NamedTuple):
    """The limits in tokens: of a prompt with the assistant's header, of a teacher text with the end token."""

    prompt: int
    response: int


@dataclass
class Counts:
    """The counts of a split, filled row after row. Lengths are those before anything is shortened."""

    duplicates: int = 0
    """Rows that repeat an earlier one, kept or not."""
    rows: int = 0
    truncated_rows: int = 0
    """Rows whose prompt was over the limit."""
    dropped_turns: int = 0
    """Messages left out of them, the oldest."""
    cut_rows: int = 0
    """Those among them whose last user message was too long alone."""
    unended_responses: int = 0
    """Teacher texts that the trainer will cut, so that they have no end token."""
    prompt_tokens: array = field(default_factory=lambda: array("l"))
    response_tokens: array = field(default_factory=lambda: array("l"))

    def add(self, prompt: ShortChat, prompt_tokens: int, response_tokens: int, limits: Limits) -> None:
        """Counts a row whose whole prompt and response have so many tokens."""
        self.rows += 1
        self.truncated_rows += prompt_tokens > limits.prompt
        self.dropped_turns += prompt.dropped
        self.cut_rows += prompt.cut > 0
        self.unended_responses += response_tokens > limits.response
        self.prompt_tokens.append(prompt_tokens)
        self.response_tokens.append(response_tokens)

    def join(self, other: "Counts") -> None:
        """Adds the other's rows."""
        for counter in fields(self):
            setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))

    def summary(self) -> dict[str, Any]:
        """The counts, and percentiles in place of the lengths."""
        lengths = {name: percentiles(getattr(self, name)) for name in ("prompt_tokens", "response_tokens")}
        return {name: getattr(self, name) for name in LABELS} | lengths


def percentiles(lengths: Iterable[int]) -> dict[str, int]:
    """p50, p95, p99 (nearest rank: each is one of the lengths) and max of at least one length."""
    ranked = sorted(lengths)
    ranks = {f"p{percent}": -(-percent * len(ranked) // 100) for percent in PERCENTILES}
    return {name: ranked[rank - 1] for name, rank in ranks.items()} | {"max": ranked[-1]}


def flat(report: dict[str, Any]) -> dict[str, int]:
    """The report with one name for each number: {"train": {"rows": 3}} becomes {"train_rows": 3}."""
    numbers: dict[str, int] = {}
    for name, value in report.items():
        if isinstance(value, dict):
            numbers |= {f"{name}_{rest}": number for rest, number in flat(value).items()}
        else:
            numbers[name] = value
    return numbers


def table(report: dict[str, Any]) -> str:
    """The report as a table: a line for each number, a column for each split."""
    splits = [report["train"], report["val"]]
    lines = [("", "train", "val")]
    lines += [(label, *(f"{split[name]:,}" for split in splits)) for name, label in LABELS.items()]
    for name in ("prompt_tokens", "response_tokens"):
        for rank in splits[0][name]:
            lines.append((f"{name.replace('_', ' ')}, {rank}", *(f"{split[name][rank]:,}" for split in splits)))
    lines.append(("prompts in both", f"{report['shared_prompts']:,}", ""))
    return "\n".join(f"{label:<32}{train:>10}{val:>10}".rstrip() for label, train, val in lines)
