"""Makes the folder that goes home: the preference-tuned model, and a card with what was measured on the way.

    python -m recipes.synthetic_instruct.export --model MODEL --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, README.md (the card), report.md (drops, preferences, evaluation, memory) and metrics.json.
"""

import argparse
from pathlib import Path
from typing import Any

from recipes.common.model.card import outs_of, read_numbers
from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.synthetic_instruct.card import card, memory_table

REPORTS = {
    "filter": ("report.md", "What the filter dropped"),
    "prefer": ("report.md", "Instructions without a preference"),
    "evaluate": ("evaluation.md", "Evaluation"),
}
"""Stage -> the text that it left, and its heading."""


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.synthetic_instruct.export", description=__doc__.split("\n")[0]
    )
    for name in ("--model", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--stage", action="append", default=[], metavar="NAME=OUT", help="an earlier stage's output")
    args = parser.parse_args(argv)
    outs = outs_of(args.stage)
    numbers = {name: read_numbers(place) for name, place in outs.items()}
    model = read_numbers(args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    link(args.model, args.out)
    (args.out / "metrics.json").unlink(missing_ok=True)  # the model's own, on the same bytes
    write_text(args.out / "report.md", report(outs, numbers))
    table = (outs["evaluate"] / "evaluation.md").read_text(encoding="utf-8") if "evaluate" in outs else ""
    write_text(args.out / "README.md", card(model, numbers, table))
    write_json(args.out / "metrics.json", {name: model[name] for name in ("parameters", "bytes", "dtype", "tensors")})
    print(memory_table(numbers))


def report(outs: dict[str, Path], numbers: dict[str, dict[str, Any]]) -> str:
    """Everything that was counted and measured, on one page."""
    parts = ["# Report\n", "## Memory\n", memory_table(numbers)]
    for name, (file, heading) in REPORTS.items():
        if name in outs:
            parts += [f"\n## {heading}\n", (outs[name] / file).read_text(encoding="utf-8")]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    run(main)
