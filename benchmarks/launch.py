"""From the command to a program that runs on a rented machine: `launcher launch` beside plain `sky launch`.

python -m benchmarks.launch CLOUD [--recipe gad-tiny] [--rounds N]     with an account, or in the emulator's environment

Each round makes both machines, one after the other, and ends them. Ours counts until the first stage is running on the
screen; SkyPilot's until its job has printed its first line.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launcher.document import load
from launcher.request import Request, planned
from launcher.site import read_site, site_path

ROOT = Path(__file__).parent.parent
SKY = str(Path(sys.executable).with_name("sky"))


def until(argv: list[str], word: str) -> float:
    """Seconds until a line with the word; the command goes on without us."""
    began = time.perf_counter()
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = []
        for line in process.stdout or ():
            said.append(line)
            if word in line:
                took = time.perf_counter() - began
                process.terminate()
                return took
    raise SystemExit("".join(said)[-3000:])


def ours(recipe: str, cloud: str) -> float:
    run = f"bench-{recipe}".replace("_", "-")
    try:
        return until([sys.executable, "-m", "launcher", "launch", recipe, "--cloud", cloud, "--run", run], " running")
    finally:
        subprocess.run([sys.executable, "-m", "launcher", "down", run], cwd=ROOT, stdout=subprocess.DEVNULL)
        shutil.rmtree(ROOT / "runs/.store" / run, ignore_errors=True)


def plain(recipe: str, cloud: str) -> float:
    image = planned(Request(recipe, cloud), ROOT, read_site(site_path())).plan.image
    assert image
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.yaml"
        document = load(ROOT / "jobs" / f"{recipe}.yaml")
        job.write_text(json.dumps({**document, "run": "echo it-runs; sleep 600"}))
        words = ["-y", "-c", "bench-plain", "--infra", cloud, "--image-id", f"docker:{image.name}", "--workdir", folder]
        try:
            return until([SKY, "launch", *words, str(job)], "it-runs")
        finally:
            subprocess.run([SKY, "down", "-y", "bench-plain"], cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cloud")
    parser.add_argument("--recipe", default="gad-tiny")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    what = options.recipe, options.cloud
    subprocess.run([SKY, "api", "start"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # both find it running
    rounds = [(ours(*what), plain(*what)) for _ in range(options.rounds)]
    mine, sky = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"| {options.cloud}, median of {options.rounds} | seconds |\n|---|---|")
    print(f"| `launcher launch {options.recipe}`, to its first stage | {mine:.1f} |")
    print(f"| `sky launch` of the same job, to its first line | {sky:.1f} |")
    print(f"| ours / SkyPilot's | {mine / sky:.2f} (target 1.10) |")


if __name__ == "__main__":
    main()
