"""How long a command line takes to start, whole process, with its peers beside it.

    python -m benchmarks.bench_cli [--peers FOLDER]

Peers: whichever of sky, dstack and oumi is in FOLDER (as .venv-bench/bin), beside this Python, or on PATH.
"""

import os
import shutil
import sys
from pathlib import Path
from statistics import median

from benchmarks.support.measure import ROOT, alternate, columns, run
from benchmarks.support.result import Result, Verdict, load, parser, report

TARGETS = {
    "launcher --help": 0.15,
    "launcher plan gad-7b --cloud runpod": 0.4,
    "launcher plan profile_dpo-phi3-mini --cloud runpod": 0.4,
}
"""The last is of the recipe with the most programs of its own."""
PEERS = ("sky --help", "dstack --help", "oumi --help")
NOTE = """Bytecode is there and every program was started once before. SkyPilot is the one in our own environment;
dstack and oumi have another (`make .venv-bench`), in which oumi finds the trainers' packages instead of the 184, with
torch for CUDA, that it wants of itself."""
PROFILE = """Where a plan's time goes (stamps and `-X importtime`, alone on this kind of machine, whose one thread is up
to twice as fast in one minute as in another; of 0.5 s): Python and the command line 0.08 s; pydantic 0.15 s and its
models of recipe, job and site 0.07 s; the plan itself, with two questions to git, 0.04 s; the modules of the checks
0.04 s; the recipe's own programs, one for the settings of all stages and one for the memory, beside each other and
beside the import of rich, 0.11 s; the end 0.02 s. Before that was one program, profile_dpo's plan took 2 s in the
same minutes. What is left is pydantic, whose `defer_build` gains nothing, and a cache of the programs' answers, with
the risk of an old one."""


def installed(command: str, path: str) -> list[str] | None:
    """The command with the path of its program, or None if it is not installed."""
    program, *arguments = command.split()
    program_path = shutil.which(program, path=path)
    return [program_path, *arguments] if program_path else None


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--peers", type=Path, default=ROOT / ".venv-bench/bin")
    args, before = options.parse_args(), load()
    path = os.pathsep.join([str(args.peers), str(Path(sys.executable).parent), os.environ["PATH"]])
    commands = {command: installed(command, path) for command in (*TARGETS, *PEERS)}
    runs = {command: lambda argv=argv: run(argv) for command, argv in commands.items() if argv}
    alternate(runs, 1)  # fills the caches
    took = alternate(runs, max(5, args.rounds))
    rows = [
        [f"`{command}`", *(columns(took[command]) if command in took else ("not installed", "", ""))]
        for command in commands
    ]
    verdicts = [
        Verdict(f"`{command}`", median(usage.wall for usage in took[command]), target, " s")
        for command, target in TARGETS.items()
    ]
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    result = Result("cli", "Start of the command line", head, rows, verdicts, [NOTE, PROFILE], ["skypilot"])
    report(result, before, args.result)


if __name__ == "__main__":
    main()
