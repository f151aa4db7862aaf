"""Makes the one file that a launch takes of a folder with `<topic>/*.json`.

python -m recipes.honest_persona.pack FOLDER OUT.jsonl
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.stage.command import Mistake, run
from recipes.common.stage.files import write_text
from recipes.common.stage.inputs import POSITIONAL, read_inputs
from recipes.honest_persona.schema import batch_files


@dataclass(frozen=True, kw_only=True)
class Inputs:
    folder: Annotated[Path, POSITIONAL]
    out: Annotated[Path, POSITIONAL]


def main(argv: list[str] | None = None) -> None:
    """OUT has a line for each file, in the order in which the folder itself is read."""
    inputs = read_inputs(__doc__, Inputs, argv)
    lines = []
    for file in batch_files(inputs.folder):
        try:
            lines.append(json.dumps(json.loads(file.read_text(encoding="utf-8")), ensure_ascii=False))
        except ValueError as problem:
            raise Mistake(f"`{file}` is not JSON in UTF-8: {problem}", "correct the file, or remove it") from None
    if not lines:
        raise Mistake(f"`{inputs.folder}` has no file `<topic>/*.json`", "name the folder that holds the topics")
    write_text(inputs.out, "\n".join(lines) + "\n")
    print(f"{inputs.out}: {len(lines):,} batches")


if __name__ == "__main__":
    run(main)
