"""A stage in the manner of a conversion: a result in several files, made anew when it is not whole."""

import sys
from pathlib import Path

PARTS = 3


def main() -> None:
    before, out = map(Path, sys.argv[1:])
    total = (before / "total.txt").read_text()
    for number in range(PARTS):
        (out / f"part-{number}.txt").write_text(f"{number} of {PARTS}: {total}\n" * 100)
    (out / "total.txt").write_text(total)


main()
