"""A pull from a machine behind ssh, with every sha256 checked, and data sent there; beside plain rsync.

    python -m benchmarks.bench_transfer [--megabytes N]

The machine is this one, behind an ssh server of its own on the loopback.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.loopback_ssh import HOST, loopback
from benchmarks.support.measure import ROOT, Usage, alternate, drop_cache, ratio, run, spread
from benchmarks.support.result import Result, Verdict, load, parser, report
from benchmarks.support.transfer_child import PARTS
from launcher.runfolder.files import sha256, write_json
from launcher.runfolder.paths import RunFolder
from launcher.transfer.ssh import Remote

SHARDS = 4
NOTE = """The files are random bytes in {shards} shards, as a sharded model; nothing is in the page cache when a round
begins. Ours is what `launcher pull` does for a run on a rented machine: rsync into the run folder's copy here, every
file's sha256 compared with the manifest, every byte on disk, and the file's second name in `runs/<run>/export`. Theirs
is `rsync -a` with ssh as it comes; nothing is compared, and what it leaves may still be in memory alone. Data is sent
from a copy in the run folder here, whose sha256 is compared while it is written: what the next machine gets when this
one vanishes is the same, whatever became of the user's file. Reading it for the plan, copying it and starting Python
is what sending takes longer: seconds for gigabytes, whatever the line to the machine is. A pull that goes on copies
what is missing, and reads all there is for its sha256, most of it from the disk: it saves the copying alone."""


def export(there: Path, megabytes: int) -> None:
    """A finished run's folder with random shards and their manifest."""
    folder, chance = RunFolder(there), random.Random(1)
    folder.export.mkdir(parents=True)
    files = {}
    for shard in range(SHARDS):
        path = folder.export / f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        with open(path, "wb") as file:
            for _ in range(megabytes // SHARDS):
                file.write(chance.randbytes(1_000_000))
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    for path in (folder.plan, folder.events):
        path.write_text("{}\n")
    write_json(folder.manifest, {"export": files, "stages": {}})


def cut(argv: list[str], here: Path, enough: int) -> None:
    """Runs the command, and ends it with all its children when so many bytes have arrived."""
    process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    while process.poll() is None and sum(path.stat().st_size for path in here.rglob("*") if path.is_file()) < enough:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


class Copies:
    """Each copy from an empty page cache into a new folder."""

    def __init__(self, config: Path, there: Path, here: Path):
        self.config, self.there, self.here = config, there, here
        self.parts: dict[str, list[float]] = {name: [] for name in PARTS}
        """Seconds of what sending consists of."""

    def empty(self) -> None:
        shutil.rmtree(self.here, ignore_errors=True)
        self.here.mkdir()
        drop_cache(self.there)

    def run_after_empty(self, argv: list[str]) -> Usage:
        self.empty()
        return run(argv)

    def send(self) -> Usage:
        took = self.run_after_empty(self.command("send"))
        for name, seconds in json.loads((self.here / "parts.json").read_text()).items():
            self.parts[name].append(seconds)
        return took

    def command(self, what: str) -> list[str]:
        paths = [str(self.config), str(self.there), str(self.here)]
        return [sys.executable, "-m", "benchmarks.support.transfer_child", what, *paths]

    def rsync(self, *paths: str) -> list[str]:
        return ["rsync", "-a", "-e", f"ssh -F {self.config}", *paths]

    def measure(self, rounds: int) -> dict[str, list[Usage]]:
        """The usage of our command and of rsync, in both directions, in each round."""
        shard = str(min((self.there / "export").iterdir()))
        commands = {
            "rsync": self.rsync(f"{HOST}:{self.there}/export/", f"{self.here}/"),
            "pull": self.command("pull"),
            "rsync up": self.rsync(shard, f"{HOST}:{self.here}/data"),
        }
        each = {name: lambda argv=argv: self.run_after_empty(argv) for name, argv in commands.items()}
        return alternate({**each, "sync": self.send}, rounds)

    def resume_pull(self, enough: int) -> Usage:
        """The usage of a pull that continues an earlier one, which was ended when so many bytes were here: they are on
        disk, not cached."""
        self.empty()
        cut(self.command("pull"), self.here, enough)
        for folder in (self.here, self.there):
            drop_cache(folder)
        return run(self.command("pull"))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=2000)
    args, before = options.parse_args(), load()
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="transfer-") as scratch:
        folder = Path(scratch).resolve()
        (folder / "ssh").mkdir()
        export(folder / "there", args.megabytes)
        with loopback(folder / "ssh") as config:
            copies = Copies(config, folder / "there", folder / "here")
            took = copies.measure(args.rounds)
            took["rest"] = [copies.resume_pull(args.megabytes * 700_000) for _ in range(args.rounds)]
            Remote(HOST, config).close()
    shard = args.megabytes // SHARDS
    titles = {
        "rsync": (f"`rsync -a` of {args.megabytes:,} MB here", args.megabytes),
        "pull": ("our pull of them, sha256 compared", args.megabytes),
        "rest": ("our pull, ended at 70 % and begun again", None),
        "rsync up": (f"`rsync -a` of {shard:,} MB there", shard),
        "sync": ("our sending of them, sha256 compared", shard),
    }
    rows, walls = [], {name: [usage.wall for usage in usages] for name, usages in took.items()}
    for name, (title, size) in titles.items():
        speed = spread([size / wall for wall in walls[name]], ".0f") if size else ""
        rows.append([title, spread(walls[name]), speed, spread([usage.cpu for usage in took[name]])])
    rows += [[f"of which {name}", spread(seconds), "", ""] for name, seconds in copies.parts.items()]
    verdicts = [
        Verdict("pull, as a share of rsync's speed", ratio(walls["rsync"], walls["pull"]), 0.9, least=True),
        Verdict("data sent, as a share of rsync's speed", ratio(walls["rsync up"], walls["sync"]), 0.9, least=True),
        Verdict("a pull's rest after an end at 70 %, of a whole one", ratio(walls["rest"], walls["pull"]), 0.7),
    ]
    head = ["", "wall, s", "MB/s", "CPU here, s"]
    report(
        Result("transfer", "Copies over ssh", head, rows, verdicts, [NOTE.format(shards=SHARDS)]), before, args.result
    )


if __name__ == "__main__":
    main()
