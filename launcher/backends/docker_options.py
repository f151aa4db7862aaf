"""What a run's container is given: the words of the Docker SDK, made from the plan. Pure."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.config.site import DockerSite
from launcher.errors import LaunchError
from launcher.images.docker_engine import Facts
from launcher.images.identity import PROGRAM, node_home
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan

CODE, PYTHON = "/opt/launcher", "/opt/venv/bin/python"
FOLDER, RUN = "launcher.folder", "launcher.run"
PASSED = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_MODE")
"""Variables of the user's that a container gets beside the plan's secrets."""
OPEN_FILES = 65536
"""What Ray asks for on a node (docs.ray.io, large clusters)."""
LIMITS = {"nofile": OPEN_FILES, "memlock": -1}
"""Open files for Ray, and pages that stay in memory for NCCL."""


def name_of(folder: RunFolder) -> str:
    """One name for each run folder: the engine lets only one container have it."""
    return f"launcher-{folder.path.name}-{hashlib.sha256(str(folder.path).encode()).hexdigest()[:8]}"


def options(plan: Plan, folder: RunFolder, site: DockerSite, facts: Facts, env: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of the SDK's `containers.run`, without mounts, limits and the user."""
    passed = {name: env[name] for name in (*plan.secrets, *PASSED) if env.get(name)}
    memory = {"mem_limit": int(site.memory)} if site.memory else {}
    cpus = {"nano_cpus": int(site.cpus * 1e9)} if site.cpus else {}
    return {
        **memory,
        **cpus,
        "name": name_of(folder),
        "command": [PYTHON, "-m", "launcher.node", str(folder.path), "--code", CODE],
        "detach": True,
        "working_dir": CODE,
        "environment": {"HOME": "/tmp", "USER": "launcher", **passed},
        "use_config_proxy": not site.offline,
        "network_mode": "none" if site.offline else "bridge",
        "shm_size": int(site.shm or facts.memory // 2),  # half: what Linux gives /dev/shm outside a container
        "labels": {RUN: plan.run, FOLDER: str(folder.path), "launcher.recipe": plan.recipe},
        "log_config": {"type": "json-file", "config": {"max-size": "50m", "max-file": "2"}},
    }


def mounts(plan: Plan, folder: RunFolder, root: Path) -> dict[str, dict[str, str]]:
    """The run folder under its own path, so that what a log names can be found outside; its inputs read-only; and the
    working tree's code over the image's, when the plan says so."""
    shared = {
        str(folder.path): {"bind": str(folder.path), "mode": "rw"},
        str(folder.inputs): {"bind": str(folder.inputs), "mode": "ro"},
    }
    if plan.image and plan.image.overlay:
        home = node_home(root)
        over = {root / one: one for one in plan.code.folders} | {home / one: one for one in PROGRAM}
        shared |= {str(path.resolve()): {"bind": f"{CODE}/{one}", "mode": "ro"} for path, one in over.items()}
    return shared


def user(facts: Facts, uid: int, gid: int) -> str:
    """Files in the run folder are to belong to the calling user, who in a rootless engine is the container's root."""
    return "0:0" if facts.rootless else f"{uid}:{gid}"


def gpus(plan: Plan, facts: Facts) -> bool:
    """Whether the container gets the machine's GPUs. Raises LaunchError when it should and cannot."""
    if plan.machine.accelerators and not facts.gpus:
        raise LaunchError(
            f"`{plan.recipe}` wants {' or '.join(plan.machine.accelerators)}; this Docker engine has no GPU runtime",
            "install the NVIDIA Container Toolkit and run `sudo nvidia-ctk runtime configure --runtime=docker`",
        )
    return bool(plan.machine.accelerators)
