"""Job file + plan -> the SkyPilot task that a launch submits, as its YAML would say it. Pure."""

from collections.abc import Mapping
from typing import Any

from launcher.accelerators import for_cloud
from launcher.errors import LaunchError
from launcher.job import Job
from launcher.node.records import Plan
from launcher.store import place_of


def machine_task(plan: Plan, job: Job, document: Mapping[str, Any]) -> dict[str, Any]:
    """The task that makes the machine and runs nothing: SkyPilot chooses among all clouds and accelerators allowed.
    Raises LaunchError when no cloud has any of them."""
    kept = {key: value for key, value in document.items() if key not in ("run", "envs", "secrets")}
    return {**kept, "name": plan.run, "resources": _resources(plan, job, document.get("resources") or {})}


def run_task(plan: Plan, document: Mapping[str, Any]) -> dict[str, Any]:
    """The task that starts the node program on that machine. Secrets do not go this way: launcher.node.taken."""
    envs = {**(document.get("envs") or {}), "RUN": place_of(plan.run)}
    return {"name": plan.run, "num_nodes": plan.machine.nodes, "envs": envs, "run": document["run"]}


def _resources(plan: Plan, job: Job, resources: Mapping[str, Any]) -> dict[str, Any]:
    chosen = ("infra", "cloud", "region", "zone", "accelerators", "any_of", "ordered", "image_id")
    shared = {key: value for key, value in resources.items() if key not in chosen}
    if plan.image:
        name = plan.image.name + (f"@{plan.image.digest}" if plan.image.digest else "")
        shared["image_id"] = f"docker:{name}"
    clouds = plan.machine.cloud.split(",")
    found = [{"infra": cloud} for cloud in clouds]
    if wanted := job.accelerators:
        found = [{"infra": cloud, "accelerators": one} for cloud in clouds for one in for_cloud(wanted, cloud)]
        if not found:
            raise LaunchError(f"{plan.machine.cloud} rents no {' or '.join(wanted)}", "allow another cloud: `--cloud`")
    return {**shared, **found[0]} if len(found) == 1 else {**shared, "any_of": found}
