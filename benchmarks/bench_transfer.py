"""An export brought home from a machine behind ssh, every sha256 checked, and data sent there, beside plain rsync.

    python -m benchmarks.copies [--megabytes N]

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

from benchmarks.copying import PARTS
from benchmarks.loopback import HOST, loopback
from benchmarks.measure import ROOT, Took, forget, in_turn, ratio, run, spread
from benchmarks.result import Result, Verdict, load, parser, say
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
    """The command was ended, with all its children, once so many bytes had arrived."""
    process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    while process.poll() is None and sum(one.stat().st_size for one in here.rglob("*") if one.is_file()) < enough:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


class Copies:
    """Each copy from an empty page cache into a new folder."""

    def __init__(self, config: Path, there: Path, here: Path):
        self.config, self.there, self.here = config, there, here
        self.parts: dict[str, list[float]] = {name: [] for name in PARTS}
        """Seconds of what sending consists of."""

    def emptied(self) -> None:
        shutil.rmtree(self.here, ignore_errors=True)
        self.here.mkdir()
        forget(self.there)

    def fresh(self, argv: list[str]) -> Took:
        self.emptied()
        return run(argv)

    def sent(self) -> Took:
        took = self.fresh(self.ours("send"))
        for name, seconds in json.loads((self.here / "parts.json").read_text()).items():
            self.parts[name].append(seconds)
        return took

    def ours(self, what: str) -> list[str]:
        places = [str(self.config), str(self.there), str(self.here)]
        return [sys.executable, "-m", "benchmarks.copying", what, *places]

    def rsync(self, *places: str) -> list[str]:
        return ["rsync", "-a", "-e", f"ssh -F {self.config}", *places]

    def in_turn(self, rounds: int) -> dict[str, list[Took]]:
        """Both ways of both directions."""
        shard = str(min((self.there / "export").iterdir()))
        ways = {
            "rsync": self.rsync(f"{HOST}:{self.there}/export/", f"{self.here}/"),
            "pull": self.ours("bring"),
            "rsync up": self.rsync(shard, f"{HOST}:{self.here}/data"),
        }
        each = {name: lambda argv=argv: self.fresh(argv) for name, argv in ways.items()}
        return in_turn({**each, "sync": self.sent}, rounds)

    def rest(self, enough: int) -> Took:
        """Our pull, some time after one that was ended when so many bytes were here: they are on disk, not cached."""
        self.emptied()
        cut(self.ours("bring"), self.here, enough)
        for place in (self.here, self.there):
            forget(place)
        return run(self.ours("bring"))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=2000)
    args, before = options.parse_args(), load()
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="copies-") as scratch:
        place = Path(scratch).resolve()
        (place / "ssh").mkdir()
        export(place / "there", args.megabytes)
        with loopback(place / "ssh") as config:
            copies = Copies(config, place / "there", place / "here")
            took = copies.in_turn(args.rounds)
            took["rest"] = [copies.rest(args.megabytes * 700_000) for _ in range(args.rounds)]
            Remote(HOST, config).close()
    one = args.megabytes // SHARDS
    titles = {
        "rsync": (f"`rsync -a` of {args.megabytes:,} MB here", args.megabytes),
        "pull": ("our pull of them, sha256 compared", args.megabytes),
        "rest": ("our pull, ended at 70 % and begun again", None),
        "rsync up": (f"`rsync -a` of {one:,} MB there", one),
        "sync": ("our sending of them, sha256 compared", one),
    }
    rows, walls = [], {name: [one.wall for one in found] for name, found in took.items()}
    for name, (title, size) in titles.items():
        speed = spread([size / wall for wall in walls[name]], ".0f") if size else ""
        rows.append([title, spread(walls[name]), speed, spread([one.cpu for one in took[name]])])
    rows += [[f"of which {name}", spread(seconds), "", ""] for name, seconds in copies.parts.items()]
    verdicts = [
        Verdict("pull, as a share of rsync's speed", ratio(walls["rsync"], walls["pull"]), 0.9, least=True),
        Verdict("data sent, as a share of rsync's speed", ratio(walls["rsync up"], walls["sync"]), 0.9, least=True),
        Verdict("a pull's rest after an end at 70 %, of a whole one", ratio(walls["rest"], walls["pull"]), 0.7),
    ]
    head = ["", "wall, s", "MB/s", "CPU here, s"]
    say(Result("copies", "Copies over ssh", head, rows, verdicts, [NOTE.format(shards=SHARDS)]), before, args.result)


if __name__ == "__main__":
    main()
