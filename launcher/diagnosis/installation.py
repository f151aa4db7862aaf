"""Whether this computer and a Slurm cluster have what a launch needs. On this computer nothing is asked over a network;
a cluster's login node answers one shell script."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher.backends.local import find_python
from launcher.clouds import providers
from launcher.clouds.ledger import ledger
from launcher.config.secrets import lookup, references, remedy
from launcher.config.site import SiteFile, existing, site_path
from launcher.errors import LaunchError
from launcher.format import size
from launcher.images.docker_engine import cards, connect, facts
from launcher.preflight.access import credentials
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding

SECRETS = ("HF_TOKEN", "WANDB_API_KEY")
LEAST = 20 * 10**9
"""Bytes of free disk; an image alone needs more."""
ASK_CLUSTER = r"""
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


def check_installation(root: Path, site: SiteFile, env: Mapping[str, str]) -> list[Finding]:
    """A finding for each thing that a launch may need. `root` is the folder with recipes/."""
    return [
        Finding("python", OK, f"{platform.python_version()}, {sys.executable}"),
        _site(env),
        _recipes(root, site),
        _engine(),
        _gpus(),
        _skypilot(),
        *_clouds(env),
        *_secrets(site, env),
        *_programs(site),
        _disk(site.local_store),
        _machines(),
    ]


def _site(env: Mapping[str, str]) -> Finding:
    path = site_path(env)
    return Finding("site.yaml", OK, str(path) if path.exists() else f"there is no {path} (optional): defaults are used")


def _recipes(root: Path, site: SiteFile) -> Finding:
    """The Python that runs stages on this machine."""
    if not (root / "recipes").is_dir():
        return Finding(
            "recipes", WARNING, f"there are no recipes under {root}", "run `launcher` in the project's folder"
        )
    try:
        python = find_python(root, site.local.python)
    except LaunchError as problem:
        return Finding("environment", WARNING, problem.error, problem.hint)
    return Finding("environment", OK, f"stages on this machine run with {python}")


def _engine() -> Finding:
    try:
        client = connect()
    except LaunchError as problem:
        return Finding("docker", WARNING, problem.error, f"{problem.hint}; only `--cloud docker` and images need it")
    try:
        info = client.info()
    except OSError as problem:
        return Finding("docker", WARNING, f"the engine does not answer: {problem}", "restart Docker")
    finally:
        client.close()
    memory = size(facts(info).memory)
    return Finding("docker", OK, f"engine {info.get('ServerVersion', 'of an unknown version')}, {memory} of memory")


def _gpus() -> Finding:
    gpus = cards()
    if not gpus and shutil.which("nvidia-smi"):
        return Finding("gpus", UNKNOWN, "not checked: `nvidia-smi` names no GPU", "run it: it says why")
    return Finding("gpus", OK, f"{len(gpus)} x {gpus[0].name}, {size(gpus[0].memory)}" if gpus else "none here")


def _skypilot() -> Finding:
    pins = importlib.metadata.requires("launcher") or []
    required = next((pin.split(";")[0].partition("==")[2].strip() for pin in pins if pin.startswith("skypilot")), "")
    try:
        version = importlib.metadata.version("skypilot")
    except importlib.metadata.PackageNotFoundError:
        return Finding("skypilot", WARNING, "not installed", "`make setup-clouds`; only rented machines need it")
    if required and version != required:
        return Finding("skypilot", WARNING, f"{version}, this launcher is for {required}", "`make setup-clouds`")
    return Finding("skypilot", OK, version)


def _clouds(env: Mapping[str, str]) -> Iterator[Finding]:
    """Which providers' key files are here."""
    home = Path(env.get("HOME", "~")).expanduser()
    for row in providers.PROVIDERS:
        finding = credentials([row.name], home)
        level = WARNING if finding.level == REFUSED else OK
        yield Finding(row.name, level, finding.says, finding.hint)
    says = "not checked: access to other clouds that SkyPilot knows, which are experimental"
    yield Finding("other clouds", UNKNOWN, says, "`sky check` checks it")


def _secrets(site: SiteFile, env: Mapping[str, str]) -> Iterator[Finding]:
    """Where the value of each secret is; never the value."""
    for name in dict.fromkeys([*SECRETS, *site.secrets]):
        try:
            source = lookup(name, site, env)
        except LaunchError as problem:
            yield Finding(name, WARNING, problem.error, problem.hint)
            continue
        looked = references(name, site, env)
        yield (
            Finding(name, OK, source[0])
            if source
            else Finding(name, WARNING, f"not set: looked at {', '.join(looked)}", remedy(looked[0]))
        )


def _programs(site: SiteFile) -> Iterator[Finding]:
    """The programs that the launcher starts."""
    programs = ["git", "ssh", "rsync", *(["rclone"] if site.bucket else [])]
    absent = [name for name in programs if not shutil.which(name)]
    if absent:
        yield Finding("programs", WARNING, f"not installed: {', '.join(absent)}", f"`apt install {' '.join(absent)}`")
    else:
        yield Finding("programs", OK, ", ".join(programs))


def _disk(folder: Path) -> Finding:
    folder = existing(folder)
    if not os.access(folder, os.W_OK):
        return Finding("disk", REFUSED, f"{folder} cannot be written to", "name another folder: `runs:` in site.yaml")
    free = shutil.disk_usage(folder).free
    if free < LEAST:
        return Finding("disk", WARNING, f"{size(free)} free under {folder}", "make room, or `store:` in site.yaml")
    return Finding("disk", OK, f"{size(free)} free under {folder}")


def _machines() -> Finding:
    alive = ledger().alive()
    if alive:
        names = ", ".join(f"`{machine.run}`" for machine in alive)
        return Finding("machines", WARNING, f"{len(alive)} may cost money: {names}", "`launcher runs` shows them")
    return Finding("machines", OK, "no machine in the local ledger; providers were not asked")


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


def parse_cluster(text: str) -> Cluster:
    """What the output of ASK_CLUSTER says."""
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


def slurm_section(cluster: Cluster, host: str | None) -> str:
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
