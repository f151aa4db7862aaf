"""The local Docker engine: the node program runs in the recipe's image, with the run folder mounted at its own path."""

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.backends.base import Backend, End, Work, wait_until
from launcher.config.secrets import values
from launcher.config.site import DockerSite, SiteFile
from launcher.errors import LaunchError
from launcher.images.docker_engine import Facts, connect, facts, local_image
from launcher.images.identity import PROGRAM, identity, node_home
from launcher.runfolder.lock import PATIENCE, holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.copy import folder_lock

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

CODE, PYTHON = "/opt/launcher", "/opt/venv/bin/python"
FOLDER, RUN = "launcher.folder", "launcher.run"
PASSED = ("HF_ENDPOINT", "HF_HUB_OFFLINE", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_MODE")
"""Variables of the user that a container gets beside the secrets of the plan."""
OPEN_FILES = 65536
"""What Ray needs on a node (docs.ray.io, large clusters)."""
LIMITS = {"nofile": OPEN_FILES, "memlock": -1}
"""Open files for Ray, and pages that stay in memory for NCCL."""
WORKING = ("running", "paused", "restarting")
"""States of a container that has not ended."""
GONE = (404, 409)
"""What the engine answers about a container that is removed, or is being removed."""


@dataclass(frozen=True)
class Docker(Backend):
    """`root` is the working tree. It is mounted over the code in the image if the plan says so."""

    root: Path
    site: SiteFile

    def start(self, plan: Plan, folder: RunFolder) -> "DockerWork":
        with folder_lock(folder.path):
            self.refresh(folder)  # saves the output of a container of the same name, before that is removed
            return self.find(folder) or self._start(plan, folder)  # another launcher may have been quicker

    def _start(self, plan: Plan, folder: RunFolder) -> "DockerWork":
        from docker.errors import APIError
        from docker.types import DeviceRequest, Ulimit

        client = connect()  # closed by the work that is returned
        _remove(client, name_of(folder))  # a launch that was killed has made it and not started it
        image, engine = _image(client, plan), facts(client.info())
        folder.inputs.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, **values(plan, self.site, os.environ)}
        arguments: dict[str, Any] = {
            **options(plan, folder, self.site.docker, engine, env),
            "volumes": mounts(plan, folder, self.root),
            "user": user(engine, os.getuid(), os.getgid()),
            "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if gpus(plan, engine) else None,
        }
        ulimits = [Ulimit(name=name, soft=limit, hard=limit) for name, limit in LIMITS.items()]
        for limits in (ulimits, []):  # some engines may not raise them
            try:
                return DockerWork(client.containers.run(image, ulimits=limits, **arguments), folder)
            except APIError as problem:
                _remove(client, name_of(folder))
                error = str(problem.explanation or problem)
                if not (limits and "rlimit" in error):
                    hint = f"`docker run --rm -it {image[:19]} bash` shows the image from inside"
                    raise LaunchError(f"the Docker engine did not start the run: {error}", hint) from None
        raise AssertionError("a start without limits has returned or raised")

    def find(self, folder: RunFolder) -> "DockerWork | None":
        """Raises LaunchError if something that is no container works on the run folder."""
        try:
            client = connect()
        except LaunchError:
            if holder(folder.lock) is not None:
                raise
            return None  # an engine that has stopped has stopped its containers
        end = time.monotonic() + PATIENCE
        while (work := _running(client, folder)) is None and holder(folder.lock) is not None:
            if time.monotonic() > end:  # the lock of a killed container would be free by now
                raise LaunchError(f"a program outside Docker works on `{folder.path}`", "end it first")
            time.sleep(0.1)
        if work is None:
            client.close()
        return work

    def refresh(self, folder: RunFolder) -> None:
        """Saves the output of containers that have ended to node.log, and removes them; the rest is in the mounted run
        folder."""
        try:
            client = connect()
        except LaunchError:
            return  # an engine that has stopped has no container to ask
        with contextlib.closing(client):
            for work in _works(client, folder):
                work.collect()


class DockerWork(Work):
    """A container that runs a node program. After its end its output is in node.log, and it is removed."""

    def __init__(self, container: "Container", folder: RunFolder):
        self.container = container
        self.folder = folder
        self._end: End | None = None

    def end(self) -> End | None:
        if self._end is None and (end := self.collect()):
            self._end = end
            self.container.client.close()
        return self._end

    def stop(self, patience: float) -> bool:
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # it has ended in the meantime
            self.container.kill("SIGTERM")
        return wait_until(lambda: self.end() is not None, patience, 0.2)

    def collect(self) -> End | None:
        """How the container ended; None while it works. One that has ended is removed, after its output is saved."""
        from docker.errors import APIError

        try:
            self.container.reload()
            state = self.container.attrs["State"]
            if state["Running"] or state["Status"] in ("created", "restarting"):
                return None
            output = self.container.logs()
            self.container.remove()
        except APIError as problem:
            if problem.status_code not in GONE:
                raise
            return End(None)  # somebody removed it, or another launcher that follows the same run
        with open(self.folder.node_log, "ab") as log:
            log.write(output)
        return _end_of(state, self.container.attrs["HostConfig"].get("Memory") or 0)


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
    """The run folder at its own path, so that a path in a log is valid outside too; its inputs read-only; and the code
    of the working tree over the code in the image, if the plan says so."""
    shared = {
        str(folder.path): {"bind": str(folder.path), "mode": "rw"},
        str(folder.inputs): {"bind": str(folder.inputs), "mode": "ro"},
    }
    if plan.image and plan.image.overlay:
        program = node_home(root)
        over = {root / name: name for name in plan.code.folders} | {program / name: name for name in PROGRAM}
        shared |= {str(path.resolve()): {"bind": f"{CODE}/{name}", "mode": "ro"} for path, name in over.items()}
    return shared


def user(facts: Facts, uid: int, gid: int) -> str:
    """The user of the container. Files in the run folder must belong to the user who launches; a rootless engine maps
    this user to the container's root."""
    return "0:0" if facts.rootless else f"{uid}:{gid}"


def gpus(plan: Plan, facts: Facts) -> bool:
    """Whether the container gets the GPUs of the machine. Raises LaunchError if the recipe needs them and the engine
    cannot give them."""
    if plan.machine.accelerators and not facts.gpus:
        raise LaunchError(
            f"`{plan.recipe}` needs {' or '.join(plan.machine.accelerators)}; this Docker engine has no GPU runtime",
            "install the NVIDIA Container Toolkit and run `sudo nvidia-ctk runtime configure --runtime=docker`",
        )
    return bool(plan.machine.accelerators)


def _running(client: "DockerClient", folder: RunFolder) -> DockerWork | None:
    """The container that works on the run folder."""
    return next((work for work in _works(client, folder) if work.container.status in WORKING), None)


def _works(client: "DockerClient", folder: RunFolder) -> list[DockerWork]:
    """The containers that work on the run folder, or have worked on it; not those that were never started."""
    mine = {"label": f"{FOLDER}={folder.path}"}
    containers = client.containers.list(all=True, filters=mine, ignore_removed=True)
    return [DockerWork(container, folder) for container in containers if container.status != "created"]


def _image(client: "DockerClient", plan: Plan) -> str:
    """The id of the plan's image. Raises LaunchError if its labels differ from the plan."""
    assert plan.image
    image = local_image(client, plan.image.digest or plan.image.name) or local_image(client, plan.image.name)
    hint = f"run `make image RECIPE={plan.recipe}`"
    if image is None:
        raise LaunchError(f"the Docker engine has no image `{plan.image.name}`", hint)
    id, labels = image
    for name, value in identity(plan.image).items():
        if labels.get(name) != value:
            raise LaunchError(
                f"image `{plan.image.name}`: its label `{name}` is `{labels.get(name)}`, the plan says `{value}`", hint
            )
    return id


def _remove(client: "DockerClient", name: str) -> None:
    from docker.errors import APIError

    try:
        client.containers.get(name).remove(force=True)
    except APIError as problem:
        if problem.status_code not in GONE:
            raise


def _end_of(state: dict[str, Any], limit: int) -> End:
    code = int(state["ExitCode"])
    if state.get("OOMKilled"):
        room = f" of {limit / (1 << 30):.1f} GiB" if limit else ""
        return End(code, f"the container ran out of memory{room}", "give it more in site.yaml: `docker.memory`")
    return End(code)
