"""All benchmarks, or those that are named, each in its own environment; then docs/benchmarks.md is written.

python -m benchmarks [NAME ...] [--rounds N] [--scratch DIR]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.support.measure import ROOT
from benchmarks.support.result import Result, page, read

LIGHT, TRAINERS = ".venv", ".venv-cpu"
BENCHES = {
    "cli": LIGHT,
    "plan": LIGHT,
    "relaunch": LIGHT,
    "node": LIGHT,
    "transfer": LIGHT,
    "gad_data": TRAINERS,
    "convert": TRAINERS,
    "training": TRAINERS,
    "launch": LIGHT,
    "images": LIGHT,
}
"""A benchmark -> its environment, in the order of the page."""
NAMED = {"launch", "images"}
"""Measured only when they are named: launches need an account and images a Docker engine, or benchmarks/emulated.py."""
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/benchmarks.md"


def results() -> list[Result]:
    """The results so far, in the order of the page."""
    files = (RESULTS / f"{name}.json" for name in BENCHES)
    return [read(json.loads(file.read_text(encoding="utf-8"))) for file in files if file.exists()]


def measure(name: str, options: list[str]) -> int:
    """Runs a benchmark and writes its result to its file and to the page. Returns its exit code."""
    python = ROOT / BENCHES[name] / "bin/python"
    argv = [str(python), "-m", f"benchmarks.bench_{name}", "--result", str(RESULTS / f"{name}.json"), *options]
    print(f"\n$ python -m benchmarks.bench_{name}", flush=True)
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
    values = {"--rounds": args.rounds, "--scratch": args.scratch}
    options = [argument for name, value in values.items() if value is not None for argument in (name, str(value))]
    usual = [name for name in BENCHES if name not in NAMED]
    failed = [name for name in args.names or usual if measure(name, options)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the others are in {PAGE.relative_to(ROOT)}")
    print(f"\n{PAGE.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
