"""What the node program costs: two stages under it, and the same two commands one after the other.

python -m benchmarks.bench_node [--seconds N]
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.support.measure import Usage, alternate, run, spread
from benchmarks.support.result import Result, Verdict, load, parser, report
from launcher.runfolder.files import tree_hash
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Must, Plan, Stage, to_json

STAGE = """import json, pathlib, sys, time
seconds, work, out = float(sys.argv[1]), *map(pathlib.Path, sys.argv[2:])
until, step = time.monotonic() + seconds, 0
with open(work / "progress.jsonl", "a") as progress:
    while time.monotonic() < until:
        time.sleep(0.05)
        step += 1
        entry = {"time": time.time(), "step": step, "steps": 0, "metrics": {"loss": 1 / step}}
        progress.write(json.dumps(entry) + "\\n")
        progress.flush()
        print("step", step, flush=True)
(out / "result").write_text("done")
"""
NOTE = """The stages sleep and report 20 steps a second, with a line of output each, so that only what the node
program adds differs between rounds. What it adds: its own start, the look at its pins, a guard process a stage, ten
looks a second at the stage's progress, and done records and the manifest, each with an fsync."""


def make_plan(seconds: float, code: Path) -> Plan:
    """Two stages; the second needs the first."""
    argv, must = ("python", str(code / "stage.py"), str(seconds), "{work}", "{out}"), Must(files=("result",))
    stages = Stage("first", argv, must=must), Stage("second", argv, needs={"first": "first"}, must=must)
    return Plan("bench", "bench-tiny", stages, "second", Code(tree_hash(code, ())))


def run_under_node(plan: Plan, code: Path) -> Usage:
    """Runs the plan by the node program, in a new folder."""
    with tempfile.TemporaryDirectory(dir=code.parent) as folder:
        RunFolder(Path(folder)).plan.write_text(to_json(plan))
        return run([sys.executable, "-m", "launcher.node", folder, "--code", str(code)])


def run_bare(plan: Plan, code: Path) -> Usage:
    """Runs the commands of the plan without the node program, in new folders."""
    with tempfile.TemporaryDirectory(dir=code.parent) as folder:
        lines = []
        for stage in plan.stages:
            for name in ("work", "out"):
                (Path(folder) / stage.name / name).mkdir(parents=True)
            script, seconds = stage.argv[1:3]
            folders = f"{folder}/{stage.name}/work {folder}/{stage.name}/out"
            lines.append(f"{sys.executable} {script} {seconds} {folders} > {folder}/{stage.name}/log.txt")
        return run(["sh", "-c", "\n".join(["set -e", *lines])])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=30.0, help="of each of the two stages")
    args, before = options.parse_args(), load()
    rows, added = [], {}
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="node-") as scratch:
        code = Path(scratch) / "code"
        code.mkdir()
        (code / "stage.py").write_text(STAGE)
        for seconds, rounds in ((0.0, 5), (args.seconds, min(args.rounds, 3))):
            plan = make_plan(seconds, code)
            took = alternate(
                {"bare": lambda plan=plan: run_bare(plan, code), "ours": lambda plan=plan: run_under_node(plan, code)},
                rounds,
            )
            for name, title in (("bare", "the commands alone"), ("ours", "under the node program")):
                walls, cpus = [usage.wall for usage in took[name]], [usage.cpu for usage in took[name]]
                rows.append([f"2 stages of {seconds:g} s, {title}", spread(walls), spread(cpus)])
            whole = median(usage.wall for usage in took["bare"])
            added[seconds] = median(
                ours.wall - theirs.wall for ours, theirs in zip(took["ours"], took["bare"], strict=True)
            )
    verdicts = [
        Verdict("what the node program adds to two short stages", added[0.0], 1.0, " s"),
        Verdict(f"what it adds to a run of {2 * args.seconds:g} s", 100 * added[args.seconds] / whole, 1.0, " %"),
    ]
    report(Result("node", "The node program", ["", "wall, s", "CPU, s"], rows, verdicts, [NOTE]), before, args.result)


if __name__ == "__main__":
    main()
