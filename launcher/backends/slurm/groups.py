"""A plan as Slurm jobs: which stages share one, what it asks for, what it is called. Pure."""

import re
from dataclasses import dataclass

from launcher.config.slurm import Needs, SlurmSite, seconds
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
