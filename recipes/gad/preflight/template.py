"""Renders a sample of the rows with the student's own chat template, and counts their tokens, before anything is paid.

    python -m recipes.gad.preflight.template DATA_SETTINGS.json --model MODEL_SETTINGS.json --train FILE --val FILE

Prints one line and exits 0, or says what is wrong and exits 2. The tokenizer comes from where the model stage would
take it.
"""

import argparse
from pathlib import Path

from recipes.common.data import rows
from recipes.common.preflight.template import SAMPLE, demand, share, tokens_of
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.gad.rows import Row, read

MOST = 0.5
"""The share of rows over a limit from which on the limit is taken for a slip."""


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.gad.preflight.template", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--model", "--train", "--val"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    settings, tokens = read_json(args.settings), tokens_of(args.model)
    if tokens is None:
        print("the model and its chat template are made on the spot")
        return
    limits = {name: settings[name] for name in ("max_prompt_length", "max_response_length")}
    said = []
    for path in (args.train, args.val):
        good = [row for row in read(path, rows.spread(rows.count(path), SAMPLE, 0)) if isinstance(row, Row)]
        lengths = {
            "max_prompt_length": tokens.lengths([tokens.render(row.prompt) for row in good]),
            "max_response_length": [one + 1 for one in tokens.lengths([row.teacher for row in good])],
        }
        for name, limit in limits.items():
            demand(lengths[name], limit, name, MOST)
        over = ", ".join(f"{share(lengths[name], limit):.1%} over {name}" for name, limit in limits.items())
        said.append(f"{path.name}: of {len(good)} rows {over}")
    print("; ".join(said))


if __name__ == "__main__":
    run(main)
