"""What of the launcher the benchmark of copies times: an export brought home, and a data file sent.

    python -m benchmarks.copying bring|send CONFIG THERE HERE

CONFIG is ssh's, which knows the machine; THERE is a run folder on it; HERE an empty folder.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from benchmarks.loopback import HOST
from benchmarks.measure import lengths
from launcher.runfolder.files import sha256
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Plan
from launcher.transfer.copy import copy, pull
from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import Remote

PARTS = ("the plan's sha256 of it", "the run folder's copy, and its sha256", "rsync, by content")


def bring(config: Path, there: Path, here: Path) -> None:
    """The export is in `here/home/export`, verified: what the launcher does when a run has ended."""
    mirror = Mirror(
        Plan("bench", "bench-tiny", (), "export", Code("")), Remote(HOST, config), str(there), RunFolder(here / "store")
    )
    for folder in (here / "store", here / "home"):
        folder.mkdir(parents=True, exist_ok=True)
    mirror.export()
    mirror.look()
    shutil.copyfile(there / "plan.json", mirror.here.plan)  # the launcher wrote it there itself
    pull(mirror.here, RunFolder(here / "home"), lambda _: None)


def send(config: Path, there: Path, here: Path) -> None:
    """The first shard is in `here`, as a run's data is sent: into the run folder by its sha256, and from there. What
    took how many seconds is in `here/parts.json`."""
    source = next(iter(sorted((there / "export").iterdir())))
    (here / "store").mkdir(parents=True)
    times = [time.monotonic()]
    planned = sha256(source)
    times.append(time.monotonic())
    copy(source, here / "store/data", lambda _: None, planned, lasting=False)
    times.append(time.monotonic())
    Remote(HOST, config).send([str(here / "store/data")], f"{here}/data", "--checksum")
    times.append(time.monotonic())
    (here / "parts.json").write_text(json.dumps(lengths(PARTS, times)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("what", choices=("bring", "send"))
    for name in ("config", "there", "here"):
        options.add_argument(name, type=Path)
    args = options.parse_args()
    {"bring": bring, "send": send}[args.what](args.config, args.there, args.here)


if __name__ == "__main__":
    main()
