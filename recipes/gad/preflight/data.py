"""Whether a file's rows can be used, told before anything is paid: needs neither a tokenizer nor torch.

    python -m recipes.gad.preflight.data --train FILE [--val FILE] [--json]

Prints one line and exits 0, or says what is wrong and exits 2.
"""

import argparse
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from recipes.common.data.rows import unusable
from recipes.common.stage.command import Mistake, run
from recipes.gad.rows import Message, Problem, Row, read


@dataclass
class Survey:
    """What a file holds, as far as it has been read."""

    path: Path
    rows: int = 0
    duplicates: set[int] = field(default_factory=set)
    """Positions of the rows whose prompt and teacher text an earlier row has too."""
    prompts: set[bytes] = field(default_factory=set)
    """A digest of each different prompt."""

    def read(self, picks: Collection[int] | None = None) -> Iterator[Row]:
        """The rows at `picks` (None: all), up to the first bad one. At the end comes a Mistake that names the bad
        ones, or says that there are no rows at all."""
        problems: list[Problem] = []
        seen = set()
        for row in read(self.path, picks):
            self.rows += 1
            if isinstance(row, Problem):
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
        hint = "mend or leave out these rows; `content` is a list of {role, content}"
        refuse(self.path, problems, self.rows, hint)
        if not self.rows:
            raise Mistake(f"`{self.path}` has no rows", "one JSON object a line, or a parquet file with rows")


def survey(path: Path) -> Survey:
    """Reads every row; a Mistake as of `Survey.read`."""
    found = Survey(path)
    for _ in found.read():
        pass
    return found


def refuse(path: Path, problems: list[Problem], rows: int, hint: str) -> None:
    """Raises a Mistake that lists the first problems among `rows` rows, when there are any."""
    if not problems:
        return
    raise unusable(path, [row.text for row in problems], rows, hint)


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m recipes.gad.preflight.data")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--json", action="store_true", help="print the numbers, or the sentence, as JSON")
    args = parser.parse_args(argv)
    try:
        found = {"train": survey(args.train)} | ({"val": survey(args.val)} if args.val else {})
    except Mistake as problem:
        if args.json:
            print(json.dumps({"error": problem.error, "hint": problem.hint}))
        raise
    numbers = {split: {"rows": one.rows, "duplicates": len(one.duplicates)} for split, one in found.items()}
    shared = len(found["train"].prompts & found["val"].prompts) if args.val else None
    if args.json:
        print(json.dumps({**numbers, "shared_prompts": shared}))
        return
    parts = [f"{split}: {one['rows']:,} rows (duplicates: {one['duplicates']:,})" for split, one in numbers.items()]
    print("; ".join(parts) + ("" if shared is None else f"; prompts in both: {shared:,}"))


def _digest(value: list[Message] | str) -> bytes:
    return blake2b(json.dumps(value).encode(), digest_size=16).digest()


if __name__ == "__main__":
    run(main)
