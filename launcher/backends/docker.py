"""The local Docker engine: the node program in the recipe's image, the run folder mounted under its own path."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.backends.base import End
from launcher.backends.docker_options import FOLDER, LIMITS, gpus, mounts, name_of, options, user
from launcher.config.secrets import values
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.images.docker_engine import connect, facts, local_image
from launcher.images.identity import identity
from launcher.runfolder.lock import PATIENCE, holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.copy import alone

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


@dataclass(frozen=True)
class Docker:
    """`root` holds the working tree, which is laid over the image's code when the plan says so."""

    root: Path
    site: SiteFile

    def start(self, plan: Plan, folder: RunFolder) -> "DockerWork":
        with alone(folder.path):
            return self.find(folder) or self._started(plan, folder)  # another launcher may have been quicker

    def _started(self, plan: Plan, folder: RunFolder) -> "DockerWork":
        from docker.errors import APIError

        client = connect()  # closed by the work that is returned
        _remove(client, name_of(folder))  # whoever made it did not come to start it
        image, has = _image(client, plan), facts(client.info())
        folder.inputs.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, **values(plan, self.site, os.environ)}
        given: dict[str, Any] = {
            **options(plan, folder, self.site.docker, has, env),
            "volumes": mounts(plan, folder, self.root),
            "user": user(has, os.getuid(), os.getgid()),
            "device_requests": _all_gpus() if gpus(plan, has) else None,
        }
        for limits in (_ulimits(), []):  # some engines may not raise them
            try:
                return DockerWork(client.containers.run(image, ulimits=limits, **given), folder)
            except APIError as problem:
                _remove(client, name_of(folder))
                said = str(problem.explanation or problem)
                if not (limits and "rlimit" in said):
                    hint = f"`docker run --rm -it {image[:19]} bash` shows the image from inside"
                    raise LaunchError(f"the Docker engine did not start the run: {said}", hint) from None
        raise AssertionError("a start without limits has returned or raised")

    def find(self, folder: RunFolder) -> "DockerWork | None":
        """Raises LaunchError when something that is no container works on the run folder."""
        try:
            client = connect()
        except LaunchError:
            if holder(folder.lock) is not None:
                raise
            return None  # what an engine that is gone had started is gone too
        end = time.monotonic() + PATIENCE
        while (work := _running(client, folder)) is None and holder(folder.lock) is not None:
            if time.monotonic() > end:  # what a killed container held would be free
                raise LaunchError(f"a program outside Docker works on `{folder.path}`", "end it first")
            time.sleep(0.1)
        if work is None:
            client.close()
        return work

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        """It is here already."""

    def unsaved(self, folder: RunFolder) -> LaunchError | None:
        """It is here already."""
        return None

    def down(self, folder: RunFolder, why: str) -> None:
        """This machine costs nothing."""


GONE = (404, 409)
"""What the engine answers of a container that is removed, or is being removed."""


class DockerWork:
    """A container that runs a node program. Once it has ended, its output goes to node.log and it is removed."""

    def __init__(self, container: "Container", folder: RunFolder):
        self.container = container
        self.folder = folder
        self.ended: End | None = None

    def end(self) -> End | None:
        if self.ended is None and (found := self._look()):
            self.ended = found
            self.container.client.close()
        return self.ended

    def stop(self, patience: float) -> bool:
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # it has ended meanwhile
            self.container.kill("SIGTERM")
        end = time.monotonic() + patience
        while self.end() is None:
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def _look(self) -> End | None:
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
            return End(None)  # removed by hand, or by another launcher that follows the same run
        with open(self.folder.node_log, "ab") as log:
            log.write(output)
        return _end(state, self.container.attrs["HostConfig"].get("Memory") or 0)


def _running(client: "DockerClient", folder: RunFolder) -> DockerWork | None:
    """The container that works on the run folder; what others leave is collected."""
    mine = {"label": f"{FOLDER}={folder.path}"}
    for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
        work = DockerWork(container, folder)
        if container.status != "created" and work.end() is None:
            return work
    return None


def _image(client: "DockerClient", plan: Plan) -> str:
    """The id of the plan's image, whose labels say what the plan says. Raises LaunchError."""
    assert plan.image
    found = local_image(client, plan.image.digest or plan.image.name) or local_image(client, plan.image.name)
    hint = f"run `make image RECIPE={plan.recipe}`"
    if found is None:
        raise LaunchError(f"the Docker engine has no image `{plan.image.name}`", hint)
    number, labels = found
    for name, wanted in identity(plan.image).items():
        if labels.get(name) != wanted:
            raise LaunchError(
                f"image `{plan.image.name}`: its label `{name}` is `{labels.get(name)}`, the plan says `{wanted}`", hint
            )
    return number


def _all_gpus() -> list[Any]:
    from docker.types import DeviceRequest

    return [DeviceRequest(count=-1, capabilities=[["gpu"]])]


def _ulimits() -> list[Any]:
    from docker.types import Ulimit

    return [Ulimit(name=name, soft=limit, hard=limit) for name, limit in LIMITS.items()]


def _remove(client: "DockerClient", name: str) -> None:
    from docker.errors import APIError

    try:
        client.containers.get(name).remove(force=True)
    except APIError as problem:
        if problem.status_code not in GONE:
            raise


def _end(state: dict[str, Any], limit: int) -> End:
    code = int(state["ExitCode"])
    if state.get("OOMKilled"):
        room = f" of {limit / (1 << 30):.1f} GiB" if limit else ""
        return End(code, f"the container ran out of memory{room}", "give it more in site.yaml: `docker.memory`")
    return End(code)
