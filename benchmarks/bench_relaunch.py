"""How long `launcher launch` of a finished run takes to say that there is nothing to do, its export looked at.

python -m benchmarks.bench_relaunch [--megabytes N]
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.support.measure import ROOT, alternate, columns, run
from benchmarks.support.result import Result, Verdict, load, parser, report

RECIPE = """name: work
about: leaves a file of a size
image: work
settings: {{megabytes: {megabytes}}}
stages:
  make:
    run: [python, recipes/work/make.py, "{{config}}", "{{out}}"]
    uses: [megabytes]
    must: {{files: [model.bin]}}
lists:
  default: {{stages: [make], export: make}}
"""
STAGE = """import json, pathlib, random, sys
config, out = map(pathlib.Path, sys.argv[1:])
with open(out / "model.bin", "wb") as file:
    for number in range(json.loads(config.read_text())["megabytes"]):
        file.write(random.Random(number).randbytes(1_000_000))
(out / "metrics.json").write_text("{}")
"""
NOTE = """The whole command: it makes the plan anew, compares it with the one that was carried out, and reads every
byte of an export of up to 1 GiB on this machine; of a larger one it compares the sizes, and says so."""


def project(folder: Path, megabytes: int) -> None:
    """The folder holds a recipe `work-tiny` whose only stage leaves a file of that size."""
    recipe = folder / "recipes/work"
    (recipe / "sizes").mkdir(parents=True)
    (folder / "jobs").mkdir()
    (recipe / "recipe.yaml").write_text(RECIPE.format(megabytes=megabytes))
    (recipe / "sizes/tiny.yaml").write_text("about: the only size\n")
    (recipe / "make.py").write_text(STAGE)
    (folder / "config/launcher").mkdir(parents=True)
    (folder / "config/launcher/site.yaml").write_text(json.dumps({"local": {"python": sys.executable}}))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=500, help="of the larger export")
    args, before = options.parse_args(), load()
    took = {}
    for megabytes in (1, args.megabytes):
        with tempfile.TemporaryDirectory(dir=args.scratch, prefix="relaunch-") as scratch:
            project(Path(scratch), megabytes)
            env = {
                "XDG_CONFIG_HOME": f"{scratch}/config",
                "XDG_STATE_HOME": f"{scratch}/state",
                "PYTHONPATH": str(ROOT),
            }
            argv = [sys.executable, "-m", "launcher", "launch", "work-tiny"]
            run(argv, Path(scratch), env)
            again = alternate({"again": lambda: run(argv, Path(scratch), env)}, max(5, args.rounds) + 1)["again"]  # noqa: B023
            took[megabytes] = again[1:]
    rows = [
        [f"a finished run with an export of {megabytes:,} MB", *columns(usages)] for megabytes, usages in took.items()
    ]
    verdicts = [Verdict("relaunch of a finished run", median(usage.wall for usage in took[1]), 1.0, " s")]
    verdicts.append(
        Verdict(
            f"the same, with {args.megabytes:,} MB to compare",
            median(usage.wall for usage in took[args.megabytes]),
            1.0,
            " s",
        )
    )
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    report(Result("relaunch", "A launch with nothing to do", head, rows, verdicts, [NOTE]), before, args.result)


if __name__ == "__main__":
    main()
