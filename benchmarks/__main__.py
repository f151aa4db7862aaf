"""All benchmarks, or those that are named, each in its own environment; then docs/benchmarks.md is written.

python -m benchmarks [NAME ...] [--rounds N] [--scratch DIR]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.result import Result, page, read

LIGHT, TRAINERS = ".venv", ".venv-cpu"
BENCHES = {
    "cli": LIGHT,
    "plans": LIGHT,
    "relaunch": LIGHT,
    "node": LIGHT,
    "copies": LIGHT,
    "transform": TRAINERS,
    "convert": TRAINERS,
    "training": TRAINERS,
    "launch": LIGHT,
    "images": LIGHT,
}
"""In the page's order: each benchmark's environment."""
NAMED = {"launch", "images"}
"""Measured only when they are named: launches need an account, images an engine; or else benchmarks/emulated.py."""
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/benchmarks.md"


def results() -> list[Result]:
    """What was found so far, in the page's order."""
    files = (RESULTS / f"{name}.json" for name in BENCHES)
    return [read(json.loads(file.read_text(encoding="utf-8"))) for file in files if file.exists()]


def measure(name: str, words: list[str]) -> int:
    """The benchmark's exit code; its result is in its file, and on the page."""
    python = ROOT / BENCHES[name] / "bin/python"
    argv = [str(python), "-m", f"benchmarks.{name}", "--result", str(RESULTS / f"{name}.json"), *words]
    print(f"\n$ python -m benchmarks.{name}", flush=True)
    code = subprocess.run(argv, cwd=ROOT).returncode
    PAGE.write_text(page(results()), encoding="utf-8")
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--scratch", type=Path)
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in BENCHES]:
        parser.error(f"there is no benchmark `{unknown[0]}`")
    given = {"--rounds": args.rounds, "--scratch": args.scratch}
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    usual = [name for name in BENCHES if name not in NAMED]
    failed = [name for name in args.names or usual if measure(name, words)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the others are in {PAGE.relative_to(ROOT)}")
    print(f"\n{PAGE.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
