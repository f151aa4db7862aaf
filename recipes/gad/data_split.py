"""The train or the val rows, on their way from the user's file to the parquet file that verl reads."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recipes.common.data.rows import unusable
from recipes.common.data.tokens import Tokens
from recipes.gad.data_report import Counts, Limits
from recipes.gad.rows import Message, Row
from recipes.gad.truncate import ShortChat, TooLong, fit

BATCH_ROWS = 1024
BATCH_CHARACTERS = 2_000_000
"""A tokenized text takes about 100 bytes a token: so many characters stay below 200 MB whatever the rows are like."""


class Split(NamedTuple):
    """The good rows of one file."""

    name: str
    path: Path
    rows: Iterable[Row]


class Batch(NamedTuple):
    """Some rows of a split, and the name of the split."""

    split: str
    rows: list[Row]


class OutputBatch(NamedTuple):
    """A batch in verl's format, an Arrow table; and the rows whose prompt cannot be brought within the limit."""

    table: Any
    counts: Counts
    problems: list[str]


def convert(tokens: Tokens, limits: Limits, batch: Batch) -> OutputBatch:
    """The batch in verl's format, its prompts shortened to the limit."""
    import pyarrow

    prompt_tokens = tokens.lengths([tokens.render(row.prompt) for row in batch.rows])
    teacher_tokens = tokens.lengths([row.teacher for row in batch.rows])
    counts, problems, lines = Counts(), [], []
    for row, prompt_length, teacher_length in zip(batch.rows, prompt_tokens, teacher_tokens, strict=True):
        chat = _fit(row, prompt_length, tokens, limits.prompt)
        if isinstance(chat, str):
            problems.append(chat)
            continue
        counts.add(chat, prompt_length, teacher_length + 1, limits)
        lines.append(_line(batch.split, row, chat.messages))
    return OutputBatch(pyarrow.Table.from_pylist(lines, _schema()), counts, problems)


def write(
    split: Split,
    target: Path,
    make: Callable[[Iterable[Batch]], Iterable[OutputBatch]],
    limits: Limits,
    finished: Callable[[int], None],
) -> Counts:
    """`target` holds the split in verl's format, its batches as `make` makes them; `finished` is called after each with
    the number of rows so far.

    The bytes depend on the rows alone. A Mistake names the rows whose prompt cannot be brought within the limit.
    """
    from pyarrow.parquet import ParquetWriter

    counts = Counts()
    problems: list[str] = []
    with open(target, "wb") as file:
        with ParquetWriter(file, _schema()) as writer:
            for batch in make(Batch(split.name, rows) for rows in _batches(split.rows)):
                writer.write_table(batch.table)
                counts.join(batch.counts)
                problems += batch.problems
                finished(counts.rows)
        file.flush()
        os.fsync(file.fileno())
    if problems:
        hint = f"shorten these system messages, or raise `max_prompt_length` above {limits.prompt}"
        raise unusable(split.path, problems, counts.rows + len(problems), hint)
    return counts


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    characters = 0
    for row in rows:
        size = len(row.teacher) + sum(len(message["content"]) for message in row.prompt)
        if batch and (len(batch) == BATCH_ROWS or characters + size > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(row)
        characters += size
    if batch:
        yield batch


def _fit(row: Row, length: int, tokens: Tokens, limit: int) -> ShortChat | str:
    """The row's prompt within the limit, or why there is none."""
    if length <= limit:
        return ShortChat(row.prompt, 0, 0)
    try:
        return fit(row.prompt, limit, tokens.count)
    except TooLong as problem:
        return f"{row.location}, `content`: {problem}"


def _line(name: str, row: Row, prompt: list[Message]) -> dict[str, Any]:
    return {
        "data_source": "gad",
        "prompt": prompt,
        "ability": "chat",
        "reward_model": {"style": "teacher", "ground_truth": row.teacher},
        "extra_info": {"split": name, "index": row.position, "teacher_response": row.teacher},
    }


def _schema() -> Any:
    """verl's columns for reinforcement learning (docs/preparation/prepare_data.rst)."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "ability": text,
            "reward_model": pa.struct({"style": text, "ground_truth": text}),
            "extra_info": pa.struct({"split": text, "index": pa.int64(), "teacher_response": text}),
        }
    )
