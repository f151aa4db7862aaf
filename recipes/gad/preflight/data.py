"""Checks whether a file's rows can be used, before anything is paid: needs neither a tokenizer nor torch.

    python -m recipes.gad.preflight.data --train FILE [--val FILE]

Prints one line and exits 0, or says what is wrong and exits 2.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from recipes.common.data.rows import unusable
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.inputs import read_inputs
from recipes.gad.rows import Message, Row, read


@dataclass(frozen=True, kw_only=True)
class Inputs:
    train: Path
    val: Path | None = None


@dataclass
class Survey:
    """What the rows of a file are, as far as they were read."""

    path: Path
    rows: int = 0
    duplicates: set[int] = field(default_factory=set)
    """Positions of the rows whose prompt and teacher text an earlier row has too."""
    prompts: set[bytes] = field(default_factory=set)
    """A digest of each different prompt."""

    def read(self, picks: Collection[int] | None = None) -> Iterator[Row]:
        """The rows at `picks` (None: all), up to the first bad one. At the end comes a Mistake that names the bad
        ones, or says that there are no rows at all."""
        problems: list[str] = []
        seen = set()
        for row in read(self.path, picks):
            self.rows += 1
            if isinstance(row, str):
                problems.append(row)
                continue
            prompt = _digest(row.prompt)
            self.prompts.add(prompt)
            whole = prompt + _digest(row.teacher)
            if whole in seen:
                self.duplicates.add(row.position)
            seen.add(whole)
            if not problems:
                yield row
        if problems:
            hint = "correct these rows, or leave them out; `content` is a list of {role, content}"
            raise unusable(self.path, problems, self.rows, hint)
        if not self.rows:
            raise Mistake(
                f"`{self.path}` has no rows", "write one JSON object a line, or give a parquet file with rows"
            )


def survey(path: Path) -> Survey:
    """Reads every row; a Mistake as of `Survey.read`."""
    result = Survey(path)
    for _ in result.read():
        pass
    return result


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    inputs = read_inputs(__doc__, Inputs, argv)
    files = {"train": inputs.train} | ({"val": inputs.val} if inputs.val else {})
    surveys = {split: survey(path) for split, path in files.items()}
    parts = [f"{split}: {each.rows:,} rows (duplicates: {len(each.duplicates):,})" for split, each in surveys.items()]
    if "val" in surveys:
        parts.append(f"prompts in both: {len(surveys['train'].prompts & surveys['val'].prompts):,}")
    print("; ".join(parts))


def _digest(value: list[Message] | str) -> bytes:
    return blake2b(json.dumps(value).encode(), digest_size=16).digest()


if __name__ == "__main__":
    run(main)
