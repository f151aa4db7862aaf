"""Checks whether the files' rows can be used, before anything is paid: needs neither a tokenizer nor torch.

    python -m recipes.token_buncher.preflight.data --beavertails FILE --wmdp_bio FILE --gsm8k_test FILE ...

Prints one line and exits 0, or says what is wrong and exits 2. A file that names one of the hub is only looked at.
"""

import argparse
from pathlib import Path

from recipes.common.stage.command import run
from recipes.token_buncher.datasets import beavertails, gsm8k, wmdp
from recipes.token_buncher.datasets.source import HUB, read_pointer

INPUTS = tuple(sorted(path.stem for path in HUB.glob("*.jsonl")))


def survey(name: str, path: Path) -> str:
    """What the file of the input `name` contains; a Mistake when its rows cannot be used."""
    pointer = read_pointer(path)
    if pointer:
        return f"{name}: {pointer['repo']} at {pointer['revision'][:12]}"
    data, _, part = name.partition("_")
    if data == "beavertails":
        rows = len(beavertails.read(path))
    elif data == "wmdp":
        rows = len(wmdp.read(path, part))
    else:
        rows = len(gsm8k.read(path))
    return f"{name}: {rows:,} rows"


def main(argv: list[str] | None = None) -> None:
    """Runs the check."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.token_buncher.preflight.data", description=__doc__.split("\n")[0]
    )
    for name in INPUTS:
        parser.add_argument(f"--{name}", type=Path)
    paths = vars(parser.parse_args(argv))
    print("; ".join(survey(name, path) for name, path in paths.items() if path))


if __name__ == "__main__":
    run(main)
