"""A Slurm cluster looked at: what it has, what its user may use, and what site.yaml could say. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ASK = r"""
sinfo --noheader --format='partition %R|%l|%D|%c|%m|%G|%a' 2> /dev/null
sacctmgr --noheader --parsable2 show assoc user="$USER" format=account,qos 2> /dev/null | sed 's/^/account /'
for one in python3 python3.10 python3.11 python3.12 python3.13; do
    command -v "$one" > /dev/null && echo "python $one $("$one" -c 'import sys; print(*sys.version_info[:2], sep=".")')"
done
for one in apptainer enroot rsync sbatch; do command -v "$one" > /dev/null && echo "command $one"; done
srun --help 2> /dev/null | grep -q -- --container-image && echo 'command pyxis'
if command -v ws_list > /dev/null; then
    ws_list 2> /dev/null | sed -n 's/^ *\(id\|workspace directory\|remaining time\) *: */workspace \1: /p'
fi
true
"""


@dataclass(frozen=True)
class Partition:
    """One line of sinfo: nodes of one kind in a partition."""

    name: str
    time: str
    nodes: int
    cpus: str
    memory: str
    gres: str
    up: bool


@dataclass
class Found:
    partitions: list[Partition] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    """Account -> its QOS."""
    pythons: dict[str, str] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    workspaces: list[str] = field(default_factory=list)


def read(text: str) -> Found:
    """What ASK printed."""
    found = Found()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        words = rest.split("|")
        if kind == "partition" and len(words) == 7 and re.fullmatch("[0-9]{1,9}", words[2]):
            name, time, nodes, cpus, memory, gres, state = words
            found.partitions.append(Partition(name, time, int(nodes), cpus, memory, gres, state == "up"))
        elif kind == "account" and len(words) == 2:
            found.accounts[words[0]] = words[1]
        elif kind == "python" and len(pair := rest.split()) == 2:
            found.pythons[pair[0]] = pair[1]
        elif kind == "command":
            found.commands.add(rest)
        elif kind == "workspace":
            found.workspaces.append(rest)
    return found


def proposal(found: Found, host: str | None) -> str:
    """A `slurm:` section, with what was found as comments."""
    usable = [one for one in found.partitions if one.up]
    best = next((one for one in usable if "gpu" in one.gres), usable[0] if usable else None)
    python = _newest(found.pythons)
    lines = ["slurm:"]
    if host:
        lines += [f"  host: {host}", "  work: launcher/runs   # a folder on storage that all nodes share"]
    if best:
        lines += [
            f"  partition: {best.name}",
            f'  time: "{best.time}"' if best.time != "infinite" else '  time: "24:00:00"',
        ]
    if found.accounts:
        account, qos = next(iter(found.accounts.items()))
        lines.append(f"  account: {account}" + (f"   # QOS: {qos}" if qos else ""))
    if python and python != "python3":
        lines.append(f"  interpreter: {python}")
    lines += [f"# {one}" for one in _remarks(found, python)]
    return "\n".join(lines) + "\n"


def _remarks(found: Found, python: str | None) -> list[str]:
    said = [
        f"partition {one.name}: {one.nodes} nodes, {one.cpus} cores, {one.memory} MB, {one.gres}, up to {one.time}"
        + ("" if one.up else ", down")
        for one in found.partitions
    ]
    if "sbatch" not in found.commands:
        said.append("there is no sbatch here: is this the login node?")
    if "rsync" not in found.commands:
        said.append("there is no rsync here: results cannot be copied")
    if python is None:
        said.append("no Python 3.10 or newer is on PATH: `module avail python`, then name it under `modules`")
    if containers := sorted(found.commands & {"apptainer", "pyxis"}):
        said.append(f"with a `registry`, `software: {containers[-1]}` runs the recipes' images")
    others = sorted(found.commands & {"apptainer", "enroot", "pyxis"})
    said += [f"it has {', '.join(others)}"] if others else []
    return said + [f"workspace {one}" for one in found.workspaces]


def _newest(pythons: Mapping[str, str]) -> str | None:
    """The plain `python3` if it is new enough, else the newest; None when there is none."""
    known = {name: version for name, version in pythons.items() if re.fullmatch(r"\d{1,4}(\.\d{1,4})*", version)}
    fits = {name: tuple(int(part) for part in version.split(".")) for name, version in known.items()}
    fits = {name: version for name, version in fits.items() if version >= (3, 10)}
    return "python3" if "python3" in fits else max(fits, key=lambda name: fits[name], default=None)
