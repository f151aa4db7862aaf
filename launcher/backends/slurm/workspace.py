"""Workspaces, by ws_find, ws_list, ws_allocate and ws_extend: folders that a cluster deletes one day. Pure."""

import re
from dataclasses import dataclass

from launcher.errors import FAILED, LaunchError

SOON = 7 * 24
"""A workspace with fewer hours left is a warning."""


@dataclass(frozen=True)
class Workspace:
    """`hours` are left before it is deleted; it can be extended so many times."""

    name: str
    path: str
    hours: int
    extensions: int | None = None

    @property
    def says(self) -> str:
        days, hours = divmod(self.hours, 24)
        often = "" if self.extensions is None else f", {self.extensions} extensions left"
        return f"workspace {self.name}: {days} days {hours} hours left{often}"


def read(text: str) -> list[Workspace]:
    """The workspaces that ws_list printed."""
    entries: list[dict[str, str]] = []
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key == "id":
            entries.append({"id": value})
        elif colon and entries:
            entries[-1][key] = value
    return [_workspace(entry) for entry in entries if "workspace directory" in entry]


def folder(work: str, path: str) -> str:
    """`ws:NAME/FOLDER` with the path of the workspace in place of its name. Raises LaunchError if the path is empty."""
    name, _, rest = work.removeprefix("ws:").partition("/")
    if not path.strip():
        raise LaunchError(
            f"site.yaml: `slurm.work`: the cluster has no workspace `{name}`",
            "`launcher doctor --cloud slurm --extend 60` makes it, for 60 days",
            FAILED,
        )
    return f"{path.strip()}/{rest}".rstrip("/")


def _workspace(facts: dict[str, str]) -> Workspace:
    left = facts.get("remaining time", "")
    days, hours = (re.search(rf"\b([0-9]{{1,9}}) {unit}", left) for unit in ("day", "hour"))
    often = facts.get("available extensions", "")
    return Workspace(
        facts["id"],
        facts["workspace directory"],
        (int(days[1]) * 24 if days else 0) + (int(hours[1]) if hours else 0),
        int(often) if re.fullmatch(r"[0-9]{1,9}", often) else None,
    )


FIND = 'ws_find "$1" 2> /dev/null || true'
LIST = "command -v ws_list > /dev/null && ws_list 2> /dev/null || true"
EXTEND = """\
# NAME DAYS: the workspace is there, for so many days from now
set -e
if [ -n "$(ws_find "$1" 2> /dev/null)" ]; then ws_extend "$1" "$2" 2>&1; else ws_allocate "$1" "$2" 2>&1; fi
"""
