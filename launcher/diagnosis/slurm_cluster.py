"""What a Slurm cluster has, what its user may use, and a proposal for site.yaml. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ASK = r"""
sinfo --noheader --format='partition %R|%l|%D|%c|%m|%G|%a' 2> /dev/null
sacctmgr --noheader --parsable2 show assoc user="$USER" format=account,qos 2> /dev/null | sed 's/^/account /'
for name in python3 python3.10 python3.11 python3.12 python3.13; do
    command -v "$name" > /dev/null &&
        echo "python $name $("$name" -c 'import sys; print(*sys.version_info[:2], sep=".")')"
done
for name in apptainer enroot rsync sbatch; do command -v "$name" > /dev/null && echo "command $name"; done
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
class Cluster:
    """What a login node says about its cluster."""

    partitions: list[Partition] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    """Account -> its QOS."""
    pythons: dict[str, str] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    workspaces: list[str] = field(default_factory=list)


def parse(text: str) -> Cluster:
    """What the output of ASK says."""
    cluster = Cluster()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        fields = rest.split("|")
        if kind == "partition" and len(fields) == 7 and re.fullmatch("[0-9]{1,9}", fields[2]):
            name, time, nodes, cpus, memory, gres, state = fields
            cluster.partitions.append(Partition(name, time, int(nodes), cpus, memory, gres, state == "up"))
        elif kind == "account" and len(fields) == 2:
            cluster.accounts[fields[0]] = fields[1]
        elif kind == "python" and len(pair := rest.split()) == 2:
            cluster.pythons[pair[0]] = pair[1]
        elif kind == "command":
            cluster.commands.add(rest)
        elif kind == "workspace":
            cluster.workspaces.append(rest)
    return cluster


def proposal(cluster: Cluster, host: str | None) -> str:
    """A `slurm:` section for site.yaml, with the facts about the cluster as comments."""
    usable = [partition for partition in cluster.partitions if partition.up]
    best = next((partition for partition in usable if "gpu" in partition.gres), usable[0] if usable else None)
    python = _newest(cluster.pythons)
    lines = ["slurm:"]
    if host:
        lines += [f"  host: {host}", "  work: launcher/runs   # a folder on storage that all nodes share"]
    if best:
        lines += [
            f"  partition: {best.name}",
            f'  time: "{best.time}"' if best.time != "infinite" else '  time: "24:00:00"',
        ]
    if cluster.accounts:
        account, qos = next(iter(cluster.accounts.items()))
        lines.append(f"  account: {account}" + (f"   # QOS: {qos}" if qos else ""))
    if python and python != "python3":
        lines.append(f"  interpreter: {python}")
    lines += [f"# {remark}" for remark in _remarks(cluster, python)]
    return "\n".join(lines) + "\n"


def _remarks(cluster: Cluster, python: str | None) -> list[str]:
    remarks = [
        f"partition {partition.name}: {partition.nodes} nodes, {partition.cpus} cores, {partition.memory} MB, "
        f"{partition.gres}, up to {partition.time}" + ("" if partition.up else ", down")
        for partition in cluster.partitions
    ]
    if "sbatch" not in cluster.commands:
        remarks.append("there is no sbatch here: is this the login node?")
    if "rsync" not in cluster.commands:
        remarks.append("there is no rsync here: results cannot be copied")
    if python is None:
        remarks.append("no Python 3.10 or newer is on PATH: `module avail python`, then name it under `modules`")
    if containers := sorted(cluster.commands & {"apptainer", "pyxis"}):
        remarks.append(f"with a `registry`, `software: {containers[-1]}` runs the recipes' images")
    others = sorted(cluster.commands & {"apptainer", "enroot", "pyxis"})
    remarks += [f"it has {', '.join(others)}"] if others else []
    return remarks + [f"workspace {workspace}" for workspace in cluster.workspaces]


def _newest(pythons: Mapping[str, str]) -> str | None:
    """`python3` if it is new enough, else the newest one; None if all are too old."""
    known = {name: version for name, version in pythons.items() if re.fullmatch(r"\d{1,4}(\.\d{1,4})*", version)}
    fits = {name: tuple(int(part) for part in version.split(".")) for name, version in known.items()}
    fits = {name: version for name, version in fits.items() if version >= (3, 10)}
    return "python3" if "python3" in fits else max(fits, key=lambda name: fits[name], default=None)
