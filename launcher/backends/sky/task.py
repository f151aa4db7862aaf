"""Job file + plan -> the SkyPilot task that a launch submits, as its YAML would have it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from launcher.backends.sky.handshake import WAIT
from launcher.clouds.accelerators import for_cloud
from launcher.config.slurm import SlurmSite, gigabytes
from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan
from launcher.transfer.store import machine_path

RESOURCES = ("cpus-per-task", "mem")
"""Options of sbatch that SkyPilot takes as resources."""


def machine_task(plan: Plan, document: Mapping[str, Any]) -> dict[str, Any]:
    """The task that makes the machine and runs nothing: SkyPilot chooses among all clouds and accelerators allowed.
    Raises LaunchError if no cloud has any of them."""
    rest = {key: value for key, value in document.items() if key not in ("run", "envs", "secrets")}
    return {**rest, "name": plan.run, "resources": _resources(plan, document.get("resources") or {})}


def run_task(plan: Plan, document: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The task that starts the node program on that machine, once the handshake has this token. Secrets go another way:
    launcher.runfolder.secrets."""
    envs = {**(document.get("envs") or {}), "RUN": machine_path(plan.run), "LAUNCH": token}
    return {"name": plan.run, "num_nodes": plan.machine.nodes, "envs": envs, "run": WAIT + document["run"]}


def allocation_task(plan: Plan, document: Mapping[str, Any], site: SlurmSite) -> dict[str, Any]:
    """The task that makes SkyPilot hold an allocation of a Slurm cluster, with what site.yaml asks of it."""
    partitions = [name for name in (site.partition or "").split(",") if name]
    infras = [f"slurm/{site.host}/{name}" for name in partitions] or [f"slurm/{site.host}"]
    of_job = document.get("resources") or {}
    resources: dict[str, Any] = {name: of_job[name] for name in ("cpus", "memory") if name in of_job}
    if "cpus-per-task" in site.options:
        resources["cpus"] = site.options["cpus-per-task"]
    if "mem" in site.options:
        resources["memory"] = gigabytes(str(site.options["mem"]))
    typed = re.fullmatch(r"gpu:([\w-]+:\d+)", site.gres or "")
    gpus = [typed[1]] if typed else for_cloud(plan.machine.accelerators, "slurm")
    choices = [{"infra": infra, **gpu} for infra in infras for gpu in [{"accelerators": name} for name in gpus] or [{}]]
    own = {"account": site.account, "qos": site.qos, "constraint": site.constraint, "time": site.time}
    options = {name: value for name, value in {**site.options, **own}.items() if value is not None}
    return {
        "name": plan.run,
        "num_nodes": plan.machine.nodes,
        "resources": _with_choices(resources, choices),
        "config": {"slurm": {"sbatch_options": {name: options[name] for name in options if name not in RESOURCES}}},
    }


def allocation_run(plan: Plan, folder: str) -> dict[str, Any]:
    """The task that starts the node program in that allocation, on one of its nodes, in the run folder `folder`."""
    return {"name": plan.run, "num_nodes": 1, "envs": {"RUN": folder}, "run": 'exec bash "$RUN/slurm/allocation.sh"\n'}


def _resources(plan: Plan, resources: Mapping[str, Any]) -> dict[str, Any]:
    replaced = ("infra", "cloud", "region", "zone", "accelerators", "any_of", "ordered", "image_id")
    shared = {key: value for key, value in resources.items() if key not in replaced}
    if plan.image:
        name = plan.image.name + (f"@{plan.image.digest}" if plan.image.digest else "")
        shared["image_id"] = f"docker:{name}"
    clouds = plan.machine.cloud.split(",")
    choices = [{"infra": cloud} for cloud in clouds]
    if gpus := plan.machine.accelerators:
        choices = [{"infra": cloud, "accelerators": name} for cloud in clouds for name in for_cloud(gpus, cloud)]
        if not choices:
            raise LaunchError(f"{plan.machine.cloud} rents no {' or '.join(gpus)}", "allow another cloud: `--cloud`")
    return _with_choices(shared, choices)


def _with_choices(shared: Mapping[str, Any], choices: list[dict[str, str]]) -> dict[str, Any]:
    return {**shared, **choices[0]} if len(choices) == 1 else {**shared, "any_of": choices}
