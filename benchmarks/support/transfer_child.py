"""The part of the launcher that bench_transfer measures: the pull of an export, and the sending of a data file.

    python -m benchmarks.support.transfer_child pull|send CONFIG THERE HERE

CONFIG is the ssh configuration that has the machine; THERE is a run folder on it; HERE an empty folder.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from benchmarks.support.loopback_ssh import HOST
from benchmarks.support.measure import lengths
from launcher.runfolder.files import sha256
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Plan
from launcher.transfer.copy import copy, pull
from launcher.transfer.mirror import Mirror
from launcher.transfer.ssh import Remote

PARTS = ("the plan's sha256 of it", "the run folder's copy, and its sha256", "rsync, by content")


def pull_export(config: Path, there: Path, here: Path) -> None:
    """The verified export is in `here/local/export`: what the launcher does when a run has ended."""
    mirror = Mirror(
        Plan("bench", "bench-tiny", (), "export", Code("")), Remote(HOST, config), str(there), RunFolder(here / "store")
    )
    for folder in (here / "store", here / "local"):
        folder.mkdir(parents=True, exist_ok=True)
    mirror.copy_export()
    mirror.refresh()
    shutil.copyfile(there / "plan.json", mirror.here.plan)  # the launcher wrote it there itself
    pull(mirror.here, RunFolder(here / "local"), lambda _: None)


def send(config: Path, there: Path, here: Path) -> None:
    """The first shard is in `here`, as the data of a run is sent: into the run folder by its sha256, and from there.
    `here/parts.json` has the seconds of each part."""
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
    options.add_argument("what", choices=("pull", "send"))
    for name in ("config", "there", "here"):
        options.add_argument(name, type=Path)
    args = options.parse_args()
    {"pull": pull_export, "send": send}[args.what](args.config, args.there, args.here)


if __name__ == "__main__":
    main()
