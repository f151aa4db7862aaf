"""From the command to a program that runs on a rented machine: `launcher launch` beside plain `sky launch`.

    python -m benchmarks.bench_launch [--cloud runpod] [--recipe gad-tiny] [--rounds N]

With an account, or on an emulated provider (`python -m benchmarks.emulated`). Each round makes both machines, one after
the other, and ends them. Ours counts until the first stage is running on the screen; SkyPilot's until its job has
printed its first line.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.measure import ROOT, lengths, ratio, spread
from benchmarks.support.result import Result, Verdict, load, parser, report
from launcher.clouds.ledger import ledger
from launcher.config.site import read_site, site_path
from launcher.config.yaml import load as load_yaml
from launcher.planning.request import Request, draft
from launcher.runfolder.events import Tail

PARTS = ("plan and checks", "SkyPilot's machine, with the job", "the upload and the node program's start")
SKY = str(Path(sys.executable).with_name("sky"))
ENDED = ("--down", "-i", "30")
"""What makes SkyPilot's machine end itself when nothing works on it, as ours always does."""
NOTE = """SkyPilot's server runs already, and has made a machine. What ours adds to a launch whose machine ends itself:
the checks before it is rented, the upload while the job waits there, the node program's look at its image and packages,
and its start of the first stage. They stay the same where a machine takes minutes to appear. To tell a machine that it
is to end itself is one more import of SkyPilot there, between the machine and the job; ours never leaves that out."""


def seconds_until(argv: list[str], text: str) -> float:
    """Seconds until the command prints a line with the text. The command is then ended."""
    began = time.perf_counter()
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if text in line:
                took = time.perf_counter() - began
                process.terminate()
                return took
    raise SystemExit("".join(lines)[-3000:])


def launch(recipe: str, cloud: str, parts: dict[str, list[float]]) -> float:
    """Seconds of `launcher launch`. Adds its parts to `parts`, by the clocks of the ledger and of the node program: on
    an emulated machine both are the same clock."""
    run, began = f"bench-{recipe}".replace("_", "-"), time.time()
    try:
        argv = [sys.executable, "-m", "launcher", "launch", recipe, "--cloud", cloud, "--run", run]
        took = seconds_until(argv, " running")
        entry = ledger().alive(run)[0]
        events = Tail(ROOT / "runs/.store" / run / "events.jsonl").new()
        stage = next(float(event["time"]) for event in events if event.get("event") == "stage.started")
        moments = [began, entry.asked, entry.up or entry.asked, stage]
        for name, seconds in lengths(PARTS, moments).items():
            parts[name].append(seconds)
        return took
    finally:
        subprocess.run([sys.executable, "-m", "launcher", "down", run], cwd=ROOT, stdout=subprocess.DEVNULL)
        shutil.rmtree(ROOT / "runs/.store" / run, ignore_errors=True)


def sky_launch(recipe: str, cloud: str, *more: str) -> float:
    """Seconds of SkyPilot's own launch, with more options."""
    image = draft(Request(recipe, cloud), ROOT, read_site(site_path())).plan.image
    assert image
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.yaml"
        job_yaml = load_yaml(ROOT / "jobs" / f"{recipe}.yaml")
        job.write_text(json.dumps({**job_yaml, "run": "echo it-runs; sleep 600"}))
        options = [
            "-y",
            "-c",
            "bench-plain",
            "--infra",
            cloud,
            "--image-id",
            f"docker:{image.name}",
            "--workdir",
            folder,
        ]
        try:
            return seconds_until([SKY, "launch", *options, *more, str(job)], "it-runs")
        finally:
            subprocess.run([SKY, "down", "-y", "bench-plain"], cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cloud", default="runpod")
    options.add_argument("--recipe", default="gad-tiny")
    args, before = options.parse_args(), load()
    what = args.recipe, args.cloud
    subprocess.run([SKY, "api", "start"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # both find it running
    sky_launch(*what)  # the server's first machine takes longer, whoever asks for it
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    rounds = [(launch(*what, parts), sky_launch(*what), sky_launch(*what, *ENDED)) for _ in range(args.rounds)]
    mine, sky, ended = zip(*rounds, strict=True)
    rows = [
        [f"`launcher launch {args.recipe} --cloud {args.cloud}`, to its first stage", spread(mine, ".1f")],
        *([f"of which {name}", spread(seconds, ".1f")] for name, seconds in parts.items()),
        ["`sky launch` of the same job, to its first line", spread(sky, ".1f")],
        [f"`sky launch {' '.join(ENDED)}` of it", spread(ended, ".1f")],
    ]
    verdicts = [
        Verdict("a launch, as a share of SkyPilot's", ratio(mine, sky), 1.1),
        Verdict("a launch, as a share of SkyPilot's of a machine that ends itself", ratio(mine, ended), 1.1),
    ]
    report(Result("launch", "Launch", ["", "wall, s"], rows, verdicts, [NOTE], ["skypilot"]), before, args.result)


if __name__ == "__main__":
    main()
