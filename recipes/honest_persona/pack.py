"""Makes the one file that a launch takes of a folder with `<topic>/*.json`.

python -m recipes.honest_persona.pack FOLDER OUT.jsonl
"""

import argparse
import json
from pathlib import Path

from recipes.common.stage.command import Mistake, run
from recipes.common.stage.files import write_text
from recipes.honest_persona.schema import batch_files


def main(argv: list[str] | None = None) -> None:
    """OUT has a line for each file, in the order in which the folder itself is read."""
    parser = argparse.ArgumentParser(prog="python -m recipes.honest_persona.pack", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(argv)
    lines = []
    for file in batch_files(given.folder):
        try:
            lines.append(json.dumps(json.loads(file.read_text(encoding="utf-8")), ensure_ascii=False))
        except ValueError as problem:
            raise Mistake(f"`{file}` is not JSON in UTF-8: {problem}", "mend it, or leave it out") from None
    if not lines:
        raise Mistake(f"`{given.folder}` has no file `<topic>/*.json`", "name the folder that holds the topics")
    write_text(given.out, "\n".join(lines) + "\n")
    print(f"{given.out}: {len(lines):,} batches")


if __name__ == "__main__":
    run(main)
