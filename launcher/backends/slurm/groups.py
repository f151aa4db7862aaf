"""A plan as Slurm jobs: which stages share one, what it asks for, what it is called. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.config.slurm import Needs, SlurmSite, gigabytes, seconds
from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan

PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./^&|()\[\]*-]+")
"""Characters that need no backslash in an #SBATCH line."""


@dataclass(frozen=True)
class Group:
    """Stages that run one after the other in one job."""

    number: int
    stages: tuple[str, ...]
    needs: Needs
    grace: int
    """The longest grace of its stages, in seconds."""

    @property
    def name(self) -> str:
        return f"{self.number}-{self.stages[0]}"


def job_groups(plan: Plan, site: SlurmSite) -> tuple[Group, ...]:
    """The plan's stages in their order, without those of the login node. Neighbours with the same needs share a job."""
    groups: list[Group] = []
    for stage in (stage for stage in plan.stages if stage.name not in site.login):
        needs = site.needs(stage.name)
        own = site.stages.get(stage.name, Needs())
        if "gres" not in site.model_fields_set | own.model_fields_set:
            needs = needs.model_copy(update={"gres": _gres(plan)})
        if groups and groups[-1].needs == needs:
            last = groups.pop()
            groups.append(Group(last.number, (*last.stages, stage.name), needs, max(last.grace, stage.grace)))
        else:
            groups.append(Group(len(groups) + 1, (stage.name,), needs, stage.grace))
    return tuple(groups)


def ahead(group: Group, site: SlurmSite) -> int:
    """Seconds before the time limit at which the group's job is asked for a checkpoint. Raises LaunchError if the limit
    leaves no time to work."""
    margin = site.ahead or group.grace + 30
    if group.needs.time and seconds(group.needs.time) < 2 * margin:
        raise LaunchError(
            f"site.yaml: `slurm.time` is `{group.needs.time}` for stage `{group.stages[0]}`, "
            f"and the last {margin} s of it are for its checkpoint",
            "allow a longer `time`, or set `slurm.ahead` to fewer seconds",
        )
    return margin


def options(plan: Plan, group: Group, site: SlurmSite, job: str) -> list[str]:
    """The #SBATCH lines of a group's script; `job` is its name in the queue."""
    needs = group.needs
    values: dict[str, str | int | bool | None] = {
        "job-name": job,
        "partition": needs.partition,
        "account": needs.account,
        "qos": needs.qos,
        "nodes": plan.machine.nodes,
        "ntasks-per-node": 1,
        "gres": needs.gres,
        "constraint": needs.constraint,
        "time": needs.time,
        **needs.options,
        "output": "slurm/%x.out",
        "open-mode": "append",
        "requeue": True,
        "signal": f"B:TERM@{ahead(group, site)}",
    }
    arguments = []
    for name, value in values.items():
        if value is True:
            arguments.append(f"--{name}")
        elif value is not None and value is not False:
            arguments.append(f"--{name}={sbatch_value(str(value))}")
    return [f"#SBATCH {argument}" for argument in arguments]


def sbatch_value(text: str) -> str:
    """A value for an #SBATCH line. sbatch reads quotes, `#` and spaces there as a shell does; a backslash makes any
    character plain."""
    if PLAIN.fullmatch(text):
        return text
    return "".join(char if PLAIN.fullmatch(char) or ord(char) > 127 else f"\\{char}" for char in text)


def job_name(plan: Plan, group: Group, mark: str) -> str:
    """A name that no other job of the user has in the queue, if `mark` is new."""
    return f"{plan.run}.{group.name}.{mark}"


def _gres(plan: Plan) -> str | None:
    """GPUs without a type, whose names differ from cluster to cluster."""
    return f"gpu:{plan.machine.accelerators[0].rpartition(':')[2]}" if plan.machine.accelerators else None


def weights(text: str) -> dict[str, float]:
    """`CPU=1.0,Mem=0.25G,GRES/gpu=10` -> the billing units of a core, a GiB and a GPU."""
    values = {}
    for weight in text.removeprefix("TRESBillingWeights=").split(","):
        name, _, value = weight.strip().partition("=")
        if number := re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([KMGT]?)", value):
            scale = gigabytes(f"1{number[2]}") if number[2] and name.lower() == "mem" else 1.0
            values[name.lower()] = float(number[1]) / scale
    return values


def units_an_hour(worth: Mapping[str, float], group: Group, nodes: int) -> float:
    """Billing units an hour of a job on so many nodes; memory counts if the job asks for `mem`."""
    options, gres = group.needs.options, re.fullmatch(r"gpu:(?:([\w-]+):)?(\d{1,9})", group.needs.gres or "")
    cards = int(gres[2]) if gres else 0
    card = worth.get(f"gres/gpu:{gres[1]}", worth.get("gres/gpu", 0.0)) if gres else 0.0
    memory = gigabytes(str(options["mem"])) if "mem" in options else 0.0
    cores = int(options.get("cpus-per-task", 1))
    return nodes * (cores * worth.get("cpu", 0.0) + memory * worth.get("mem", 0.0) + cards * card)


def charge(text: str, group: Group, nodes: int) -> str | None:
    """A line about the job's cost; None if the cluster has no billing units."""
    if not (worth := weights(text)):
        return None
    rate = units_an_hour(worth, group, nodes)
    limit = group.needs.time
    most = f", {rate * seconds(limit) / 3600:,.1f} in the {limit} that it may take" if limit else ""
    return f"{group.name}: {rate:,.1f} of the cluster's billing units an hour{most}"
