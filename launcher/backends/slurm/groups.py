"""A plan as Slurm jobs: which stages share one, what it asks for, what it is called. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.config.slurm import Needs, SlurmSite, gigabytes, seconds
from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan

PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./^&|()\[\]*-]+")
"""What stands in an #SBATCH line as it is."""


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
    """The plan's stages in their order, without those of the login node; neighbours that ask for the same share a
    job."""
    found: list[Group] = []
    for stage in (one for one in plan.stages if one.name not in site.login):
        needs = site.needs(stage.name)
        own = site.stages.get(stage.name, Needs())
        if "gres" not in site.model_fields_set | own.model_fields_set:
            needs = needs.model_copy(update={"gres": _gres(plan)})
        if found and found[-1].needs == needs:
            last = found.pop()
            found.append(Group(last.number, (*last.stages, stage.name), needs, max(last.grace, stage.grace)))
        else:
            found.append(Group(len(found) + 1, (stage.name,), needs, stage.grace))
    return tuple(found)


def ahead(group: Group, site: SlurmSite) -> int:
    """Seconds before the time limit at which the group's job is asked to checkpoint. Raises LaunchError when the limit
    leaves no time to work."""
    found = site.ahead or group.grace + 30
    if group.needs.time and seconds(group.needs.time) < 2 * found:
        raise LaunchError(
            f"site.yaml: `slurm.time` is `{group.needs.time}` for stage `{group.stages[0]}`, "
            f"and the last {found} s of it are for its checkpoint",
            "allow a longer `time`, or set `slurm.ahead` to fewer seconds",
        )
    return found


def options(plan: Plan, group: Group, site: SlurmSite, job: str) -> list[str]:
    """The #SBATCH lines of a group's script; `job` is its name in the queue."""
    needs = group.needs
    asked: dict[str, str | int | bool | None] = {
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
    words = []
    for name, value in asked.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            words.append(f"--{name}={escaped(str(value))}")
    return [f"#SBATCH {word}" for word in words]


def escaped(text: str) -> str:
    """A value in an #SBATCH line: sbatch takes quotes, `#` and blanks there as a shell would, and a backslash before
    any character takes it as it is."""
    if PLAIN.fullmatch(text):
        return text
    return "".join(one if PLAIN.fullmatch(one) or ord(one) > 127 else f"\\{one}" for one in text)


def job_name(plan: Plan, group: Group, mark: str) -> str:
    """A name for the queue that no other job of the user's has, when `mark` is new."""
    return f"{plan.run}.{group.name}.{mark}"


def _gres(plan: Plan) -> str | None:
    """GPUs without a type, whose names differ from cluster to cluster."""
    return f"gpu:{plan.machine.accelerators[0].rpartition(':')[2]}" if plan.machine.accelerators else None


def weights(text: str) -> dict[str, float]:
    """`CPU=1.0,Mem=0.25G,GRES/gpu=10`: what a core, a GiB and a GPU are worth."""
    found = {}
    for one in text.removeprefix("TRESBillingWeights=").split(","):
        name, _, value = one.strip().partition("=")
        if number := re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([KMGT]?)", value):
            scale = gigabytes(f"1{number[2]}") if number[2] and name.lower() == "mem" else 1.0
            found[name.lower()] = float(number[1]) / scale
    return found


def an_hour(worth: Mapping[str, float], group: Group, nodes: int) -> float:
    """Units an hour of a job on so many nodes; memory counts where `mem` is asked for."""
    options, gres = group.needs.options, re.fullmatch(r"gpu:(?:([\w-]+):)?(\d{1,9})", group.needs.gres or "")
    cards = int(gres[2]) if gres else 0
    card = worth.get(f"gres/gpu:{gres[1]}", worth.get("gres/gpu", 0.0)) if gres else 0.0
    memory = gigabytes(str(options["mem"])) if "mem" in options else 0.0
    cores = int(options.get("cpus-per-task", 1))
    return nodes * (cores * worth.get("cpu", 0.0) + memory * worth.get("mem", 0.0) + cards * card)


def charge(text: str, group: Group, nodes: int) -> str | None:
    """A line about the job's cost; None where the cluster has no unit of its own."""
    if not (worth := weights(text)):
        return None
    rate = an_hour(worth, group, nodes)
    limit = group.needs.time
    most = f", {rate * seconds(limit) / 3600:,.1f} in the {limit} that it may take" if limit else ""
    return f"{group.name}: {rate:,.1f} of the cluster's billing units an hour{most}"
