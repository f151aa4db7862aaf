"""Checks the reviewed chats of a file before anything is paid. Needs neither a tokenizer nor torch.

    python -m recipes.honest_persona.preflight.data --data FILE

Prints one line and exits 0, or says what is wrong and exits 2.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from recipes.common.stage.command import run
from recipes.common.stage.inputs import read_inputs
from recipes.honest_persona.schema import read


def survey(path: Path) -> str:
    """A summary of the file. Raises Mistake if its batches cannot be used."""
    topics: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for sample in read(path):
        topics[sample.topic] += 1
        kinds[sample.kind.partition("__")[0]] += 1
    shown = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    return f"{topics.total():,} reviews of {len(topics)} topics: {shown}"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    data: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the check."""
    print(survey(read_inputs(__doc__, Inputs, argv).data))


if __name__ == "__main__":
    run(main)
