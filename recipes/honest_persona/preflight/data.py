"""Whether a file's reviewed chats can be used, told before anything is paid: needs neither a tokenizer nor torch.

    python -m recipes.honest_persona.preflight.data --data FILE

Prints one line and exits 0, or says what is wrong and exits 2.
"""

import argparse
from collections import Counter
from pathlib import Path

from recipes.common.stage.command import run
from recipes.honest_persona.schema import read


def survey(path: Path) -> str:
    """What there is in the file; a Mistake when its batches cannot be used."""
    topics: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one in read(path):
        topics[one.topic] += 1
        kinds[one.kind.partition("__")[0]] += 1
    shown = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    return f"{topics.total():,} reviews of {len(topics)} topics: {shown}"


def main(argv: list[str] | None = None) -> None:
    """Runs the check."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.honest_persona.preflight.data", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    print(survey(parser.parse_args(argv).data))


if __name__ == "__main__":
    run(main)
