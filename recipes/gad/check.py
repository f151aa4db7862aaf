"""Whether a file's rows can be used, told before anything is paid: needs neither a tokenizer nor torch.

    python -m recipes.gad.data check --train FILE [--val FILE] [--json]

Prints one line and exits 0, or says what is wrong and exits 2.
"""

import argparse
import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from recipes.common.rows import unusable
from recipes.common.stage import Mistake
from recipes.gad.rows import Message, Problem, read


@dataclass(frozen=True)
class Survey:
    """What a file of good rows holds."""

    rows: int
    duplicates: frozenset[int]
    """Positions of the rows whose prompt and teacher text an earlier row has too."""
    prompts: frozenset[bytes]
    """A digest of each different prompt."""


def survey(path: Path, picks: Collection[int] | None = None) -> Survey:
    """Reads every row at `picks` (None: all); a Mistake that names the bad ones, or that there is none at all."""
    problems: list[Problem] = []
    rows, duplicates, seen, prompts = 0, set(), set(), set()
    for row in read(path, picks):
        rows += 1
        if isinstance(row, Problem):
            problems.append(row)
            continue
        prompt = _digest(row.prompt)
        prompts.add(prompt)
        whole = prompt + _digest(row.teacher)
        if whole in seen:
            duplicates.add(row.position)
        seen.add(whole)
    refuse(path, problems, rows, "mend or leave out these rows; `content` is a list of {role, content}")
    if not rows:
        raise Mistake(f"`{path}` has no rows", "one JSON object a line, or a parquet file with rows")
    return Survey(rows, frozenset(duplicates), frozenset(prompts))


def refuse(path: Path, problems: list[Problem], rows: int, hint: str) -> None:
    """Raises a Mistake that lists the first problems among `rows` rows, when there are any."""
    if not problems:
        return
    raise unusable(path, [row.text for row in problems], rows, hint)


def main(argv: list[str]) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m recipes.gad.data check")
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
