"""The logs command: a stage's output."""

import time

from launcher.commands.status import work_of
from launcher.config.site import SiteFile
from launcher.errors import LaunchError, did_you_mean
from launcher.runfolder.paths import RunFolder
from launcher.transfer.store import plan_of
from launcher.ui import console


def print_log(folder: RunFolder, site: SiteFile, stage: str | None, follow: bool) -> None:
    """The stage's log.txt; with `follow`, what is added to it until the run ends, and the logs of the next stages."""
    names = [one.name for one in plan_of(folder).stages]
    if stage is not None and stage not in names:
        raise LaunchError(f"the run has no stage `{stage}`", did_you_mean(stage, names))
    started = [name for name in names if folder.stage(name).log.exists()]
    if not started or (stage is not None and stage not in started):
        raise LaunchError(f"no log of `{stage or folder.path.name}` yet", "`launcher status` shows how far the run is")
    name, offset = stage or started[-1], 0
    while True:
        running = follow and work_of(folder, site) is not None  # asked first: what it wrote until then is read below
        with open(folder.stage(name).log, "rb") as file:
            file.seek(offset)
            text = file.read()
        offset += len(text)
        console.say_raw(text.decode(errors="replace"))
        if not follow:
            return
        later = [one for one in names[names.index(name) + 1 :] if folder.stage(one).log.exists()]
        if not text and stage is None and later and folder.stage(name).done.exists():
            name, offset = later[0], 0
        elif not text and not running:
            return
        elif not text:
            time.sleep(0.3)
