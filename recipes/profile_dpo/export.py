"""Makes the folder that goes home: the current model, every round's adapter, and a card with what was measured.

    python -m recipes.profile_dpo.export --model CURRENT --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, adapters/NAME/ of each training, README.md (the card), report.md and metrics.json.
"""

import argparse
import shutil
from pathlib import Path

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.checkpoint.pretrained import main_dtype
from recipes.common.model.card import outs_of, read_numbers
from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.profile_dpo.card import card

REPORTS = {"tournament": "report.md", "evaluate": "evaluation.md"}
"""Stage, whichever its round -> the text that it left."""


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(prog="python -m recipes.profile_dpo.export", description=__doc__.split("\n")[0])
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
    for name, place in outs.items():
        if (place / "adapter").is_dir():
            shutil.copytree(place / "adapter", args.out / "adapters" / name, dirs_exist_ok=True)
    texts = {
        name: (place / file).read_text(encoding="utf-8")
        for name, place in outs.items()
        for kind, file in REPORTS.items()
        if name.rstrip("0123456789") == kind
    }
    write_text(args.out / "report.md", "# Report\n" + "".join(f"\n## {name}\n\n{text}" for name, text in texts.items()))
    tensors = open_stored(args.out)
    dtype = str(main_dtype(tensors.values(), None)).removeprefix("torch.")
    parameters = sum(one.numel for one in tensors.values())
    write_text(args.out / "README.md", card(model | {"dtype": dtype}, numbers, texts))
    made = {"parameters": parameters, "tensors": len(tensors), "dtype": dtype, "trained": model["trained"]}
    write_json(args.out / "metrics.json", made)
    print(f"{len(tensors)} tensors, {parameters:,} parameters, {dtype}")


if __name__ == "__main__":
    run(main)
