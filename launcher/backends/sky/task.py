"""Job file + plan -> the SkyPilot task that a launch submits, as its YAML would say it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from launcher.backends.sky.handshake import WAIT
from launcher.clouds.accelerators import for_cloud
from launcher.config.slurm import SlurmSite, gigabytes
from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan
from launcher.transfer.store import machine_path

ROOM = ("cpus-per-task", "mem")
"""sbatch's options that SkyPilot takes among the resources."""


def machine_task(plan: Plan, document: Mapping[str, Any]) -> dict[str, Any]:
    """The task that makes the machine and runs nothing: SkyPilot chooses among all clouds and accelerators allowed.
    Raises LaunchError when no cloud has any of them."""
    kept = {key: value for key, value in document.items() if key not in ("run", "envs", "secrets")}
    return {**kept, "name": plan.run, "resources": _resources(plan, document.get("resources") or {})}


def run_task(plan: Plan, document: Mapping[str, Any], word: str) -> dict[str, Any]:
    """The task that starts the node program on that machine, when it is the turn of the launch with this word. Secrets
    do not go this way: launcher.runfolder.secrets."""
    envs = {**(document.get("envs") or {}), "RUN": machine_path(plan.run), "LAUNCH": word}
    return {"name": plan.run, "num_nodes": plan.machine.nodes, "envs": envs, "run": WAIT + document["run"]}


def held_task(plan: Plan, document: Mapping[str, Any], site: SlurmSite) -> dict[str, Any]:
    """The task that makes SkyPilot hold an allocation of a Slurm cluster, with what site.yaml asks of it."""
    places = [f"slurm/{site.host}/{one}" for one in (site.partition or "").split(",") if one] or [f"slurm/{site.host}"]
    given = document.get("resources") or {}
    wanted: dict[str, Any] = {name: given[name] for name in ("cpus", "memory") if name in given}
    if "cpus-per-task" in site.options:
        wanted["cpus"] = site.options["cpus-per-task"]
    if "mem" in site.options:
        wanted["memory"] = gigabytes(str(site.options["mem"]))
    named = re.fullmatch(r"gpu:([\w-]+:\d+)", site.gres or "")
    cards = [named[1]] if named else for_cloud(plan.machine.accelerators, "slurm")
    found = [{"infra": place, **card} for place in places for card in [{"accelerators": one} for one in cards] or [{}]]
    asked = {"account": site.account, "qos": site.qos, "constraint": site.constraint, "time": site.time}
    options = {name: value for name, value in {**site.options, **asked}.items() if value is not None}
    return {
        "name": plan.run,
        "num_nodes": plan.machine.nodes,
        "resources": {**wanted, **found[0]} if len(found) == 1 else {**wanted, "any_of": found},
        "config": {"slurm": {"sbatch_options": {name: options[name] for name in options if name not in ROOM}}},
    }


def held_run(plan: Plan, folder: str) -> dict[str, Any]:
    """The task that starts the node program in that allocation, on one of its nodes, in the run folder `folder`."""
    return {"name": plan.run, "num_nodes": 1, "envs": {"RUN": folder}, "run": 'exec bash "$RUN/slurm/held.sh"\n'}


def _resources(plan: Plan, resources: Mapping[str, Any]) -> dict[str, Any]:
    chosen = ("infra", "cloud", "region", "zone", "accelerators", "any_of", "ordered", "image_id")
    shared = {key: value for key, value in resources.items() if key not in chosen}
    if plan.image:
        name = plan.image.name + (f"@{plan.image.digest}" if plan.image.digest else "")
        shared["image_id"] = f"docker:{name}"
    clouds = plan.machine.cloud.split(",")
    found = [{"infra": cloud} for cloud in clouds]
    if wanted := plan.machine.accelerators:
        found = [{"infra": cloud, "accelerators": one} for cloud in clouds for one in for_cloud(wanted, cloud)]
        if not found:
            raise LaunchError(f"{plan.machine.cloud} rents no {' or '.join(wanted)}", "allow another cloud: `--cloud`")
    return {**shared, **found[0]} if len(found) == 1 else {**shared, "any_of": found}
