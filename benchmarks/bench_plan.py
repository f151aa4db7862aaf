"""How long plans take: a thousand requests in one process, and a folder of a thousand runs listed.

python -m benchmarks.bench_plan [--number N]
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles

from benchmarks.support.measure import ROOT, alternate, columns, run
from benchmarks.support.result import Result, Verdict, load, parser, report
from launcher.config.site import SiteFile
from launcher.planning.request import Request, draft
from launcher.runfolder.events import Events
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.store import write_plan

CLOUDS = ("runpod", "lambda", "local")
PLAN, LIST = 0.05, 0.4
"""Seconds: of one plan; of the list, which is a command like `launcher plan`."""
NOTE = """Each plan is of another run and another learning rate, made from the files anew: recipe, job, pins, image,
code. The list is the command `launcher runs` in a folder of so many runs that ended after their first stage."""


def requests(number: int) -> list[Request]:
    """Of every recipe that is no rehearsal and has a job file, on every cloud, with a setting of its own."""
    names = sorted(path.stem for path in (ROOT / "jobs").glob("gad-*.yaml") if "tiny" not in path.stem)
    pairs = cycle((name, cloud) for name in names for cloud in CLOUDS if cloud != "local")
    return [
        Request(name, cloud, f"run-{count}", changes=[f"actor_lr={1e-6 * (1 + count):.4g}"])
        for count, (name, cloud) in enumerate(islice(pairs, number))
    ]


def make_run(plan: Plan, store: Path) -> None:
    """The store has the folder of a run that stopped between two stages."""
    folder = RunFolder(store / plan.run)
    folder.path.mkdir(parents=True)
    write_plan(plan, folder)
    events, first = Events(folder.events), plan.stages[0].name
    events.add("run.started", run=plan.run, logged=0)
    events.add("stage.started", stage=first, attempt=1, steps=None, logged=0)
    events.add("stage.finished", stage=first, attempt=1, seconds=1.0)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--number", type=int, default=1000)
    args, before = options.parse_args(), load()
    seconds: list[float] = []
    plans: list[Plan] = []
    for request in requests(args.number):
        began = time.perf_counter()
        plans.append(draft(request, ROOT, SiteFile()).plan)
        seconds.append(time.perf_counter() - began)
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="plans-") as scratch:
        folder = Path(scratch)
        (folder / "config/launcher").mkdir(parents=True)
        (folder / "config/launcher/site.yaml").write_text(json.dumps({"store": str(folder / "store")}))
        for plan in plans:
            make_run(replace(plan), folder / "store")
        env = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
        argv = [sys.executable, "-m", "launcher", "runs"]
        listed = alternate({"runs": lambda: run(argv, env=env)}, args.rounds + 1)["runs"][1:]
    rows = [
        [
            f"a plan, of {args.number:,} in one process",
            f"{median(seconds):.4f} (99 %: {quantiles(seconds, n=100)[-1]:.4f})",
            f"{sum(seconds):.1f} together",
            "",
        ],
        [f"`launcher runs` of {args.number:,} runs", *columns(listed)],
    ]
    verdicts = [Verdict(f"one of {args.number:,} plans", 1000 * sum(seconds) / args.number, 1000 * PLAN, " ms")]
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    report(Result("plan", "A thousand runs", head, rows, verdicts, [NOTE]), before, args.result)


if __name__ == "__main__":
    main()
