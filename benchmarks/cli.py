"""How long the command line takes, whole process, median of 5, with its peers beside it.

python benchmarks/cli.py            (peers: whichever of sky, dstack and oumi is on PATH, or beside --peers' python)
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = {"launcher --help": 0.15, "launcher plan gad-7b --cloud runpod": 0.4}
PEERS = ("sky --help", "dstack --help", "oumi --help")


def median(argv: list[str], runs: int = 5) -> float:
    """Seconds; one run before them fills the caches."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        seconds.append(time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr.decode()[-500:]}")
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, help="a folder with the peers' programs, as .venv-bench/bin")
    options = parser.parse_args()
    path = os.pathsep.join(filter(None, [str(options.peers or ""), os.environ["PATH"]]))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; median of 5, whole process\n")
    print("| command | seconds | target |\n|---|---|---|")
    for command, target in TARGETS.items():
        program, *words = command.split()
        took = median([str(Path(sys.executable).parent / program), *words])
        print(f"| `{command}` | {took:.2f} | {target:.2f}{'' if took <= target else ' MISSED'} |")
    for command in PEERS:
        program, *words = command.split()
        if found := shutil.which(program, path=path):
            print(f"| `{command}` | {median([found, *words]):.2f} | peer |")


if __name__ == "__main__":
    main()
