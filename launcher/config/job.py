"""`jobs/<family>-<size>.yaml`: a plain SkyPilot task, read for what it says about machines."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.config.yaml import load
from launcher.errors import LaunchError, check_known

# The task and resource keys of SkyPilot 0.14.1 (sky/utils/schemas.py).
TASK_KEYS = """
    name workdir num_nodes resources envs secrets managed_secrets file_mounts volumes volume_mounts setup run
    event_callback config service pool inputs outputs api_server_access
"""
RESOURCE_KEYS = """
    infra cloud region zone accelerators accelerator_args cpus memory instance_type use_spot job_recovery disk_size
    disk_tier ephemeral_storage network_tier local_disk ports labels image_id any_of ordered autostop priority
    priority_class volumes max_hourly_cost
"""

ROOM = {"cpus": re.compile(r"\d{1,6}(\.\d{1,6})?\+?"), "memory": re.compile(r"\d{1,6}(\.\d{1,6})?[+x]?")}
"""How much of a machine a job may ask for: a number, `2+` for at least two, and of memory `4x` for 4 GiB a CPU."""


ACCELERATOR = re.compile(r"[^\s:,]{1,100}:[1-9]\d{0,4}")
MOST = 10**6
"""Nodes, or GB of a disk, that a number in a job file may mean."""


@dataclass(frozen=True)
class Job:
    """What a job file asks for; `accelerators` are alternatives, as `H100:8`; `cpus` and `memory` are SkyPilot's words,
    as `2+`."""

    path: Path
    accelerators: tuple[str, ...]
    nodes: int
    disk_gb: int | None
    image: str | None
    cpus: str | None = None
    memory: str | None = None


def read_job(path: Path) -> Job:
    """Raises LaunchError when the file is absent, has a key SkyPilot does not know, or one that is not ours to use."""
    value = load(path)
    if not isinstance(value, dict):
        raise LaunchError(f"`{path}` is not a SkyPilot task", "it needs at least `resources:` and `run:`")
    _known(path, "", value, TASK_KEYS)
    resources = value.get("resources") or {}
    _known(path, "resources.", resources, RESOURCE_KEYS)
    if value.get("setup"):
        raise LaunchError(f"`{path}`: `setup` is used", "put software into the recipe's image (images/)")
    if not value.get("run"):
        raise LaunchError(f"`{path}`: the key `run` is missing", "it starts the node program: see jobs/gad-7b.yaml")
    if not isinstance(value["run"], str):
        raise LaunchError(f"`{path}`: `run` is `{value['run']}`", "it is a text, the commands: see jobs/gad-7b.yaml")
    choices = resources.get("any_of") or resources.get("ordered") or [resources]
    if not isinstance(choices, list):
        raise LaunchError(f"`{path}`: `resources.any_of` is `{choices}`", "it is a list")
    for choice in choices:
        _known(path, "resources.", choice, RESOURCE_KEYS)
    accelerators = tuple(
        dict.fromkeys(name for choice in choices for name in _accelerators(path, {**resources, **choice}))
    )
    nodes = value.get("num_nodes", 1)
    if not _counts(nodes):
        raise LaunchError(f"`{path}`: `num_nodes` is `{nodes}`", "give a whole number from 1 on")
    disk = resources.get("disk_size")
    if disk is not None and not _counts(disk):
        raise LaunchError(f"`{path}`: `resources.disk_size` is `{disk}`", "give a whole number of GB")
    for name in ("envs", "file_mounts"):
        if not isinstance(value.get(name) or {}, dict):
            raise LaunchError(f"`{path}`: `{name}` is `{value[name]}`", "it holds keys and values")
    image = resources.get("image_id")
    if image is not None and not isinstance(image, str):
        raise LaunchError(f"`{path}`: `resources.image_id` is `{image}`", "write it as `docker:NAME@sha256:...`")
    room = [_room(path, name, resources.get(name)) for name in ROOM]
    return Job(path, accelerators, nodes, disk, image, *room)


def _accelerators(path: Path, resources: dict[str, Any]) -> list[str]:
    value = resources.get("accelerators")
    if value is None:
        return []
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        value = [f"{name}:{1 if count is None else count}" for name, count in value.items()]
    named = isinstance(value, list) and all(isinstance(text, str) for text in value)
    accelerators = [text if ":" in text else f"{text}:1" for text in value] if named else [""]
    if not all(map(ACCELERATOR.fullmatch, accelerators)):
        raise LaunchError(f"`{path}`: `resources.accelerators` is `{value}`", "write it as `H100:8`")
    return accelerators


def _counts(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST


def _room(path: Path, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not ROOM[name].fullmatch(str(value)):
        raise LaunchError(f"`{path}`: `resources.{name}` is `{value}`", "write it as `8` or `8+`")
    return str(value)


def _known(path: Path, prefix: str, value: Any, keys: str) -> None:
    if not isinstance(value, dict):
        raise LaunchError(f"`{path}`: `{prefix.rstrip('.')}` is `{value}`", "it holds keys and values")
    for key in value:
        check_known(key, keys.split(), f"`{path}`: unknown key `{prefix}{key}`")
