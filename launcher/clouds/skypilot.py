"""SkyPilot, asked through its own Python API: a cluster made, a job submitted, both looked at, the cluster
ended; what it says while it looks for a machine, and why there was none.

Only this module and `providers` import SkyPilot, and only inside functions: that costs seconds."""

import contextlib
import io
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import FAILED, MISTAKE, LaunchError

CLUSTERS = ("kubernetes", "ssh")
"""Clouds that are the user's own machines: SkyPilot has no price list of them, and asks them over the network."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up: the provider's words for it, dollars per hour for all of it, and the number of the job that
    was submitted with it; None where its task runs nothing."""

    cloud: str
    region: str
    machine: str
    price: float | None
    job: int | None = None


@dataclass(frozen=True)
class Patience:
    """Minutes for a cluster to come up, and until it ends itself without a job and without a terminal open on it; None
    where it does not."""

    start: float
    idle: int | None


def cloud_names() -> tuple[str, ...]:
    """Every cloud that the installed SkyPilot knows, as `infra` in a job file names it. Raises LaunchError if SkyPilot
    is not installed."""
    _sky()
    from sky.utils.registry import CLOUD_REGISTRY

    return tuple(CLOUD_REGISTRY)


def machine_rows(
    cloud: str, accelerators: Sequence[str], cpus: str | None, memory: str | None
) -> list[dict[str, Any]] | None:
    """The machines that SkyPilot would take for one node, each as a row of SkyPilot's price lists; `accelerators` are
    alternatives, as `H100:8`. None if SkyPilot cannot say: without an account, some clouds do not answer."""
    sky = _sky()
    from sky.utils.registry import CLOUD_REGISTRY

    kind, rows = CLOUD_REGISTRY.from_str(cloud), []
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for accelerator in accelerators or [""]:
                resources = sky.Resources(cloud=kind, accelerators=accelerator or None, cpus=cpus, memory=memory)
                for machine in kind.get_feasible_launchable_resources(resources).resources_list:
                    name, _, count = accelerator.partition(":")
                    room = kind.get_vcpus_mem_from_instance_type(machine.instance_type)
                    rows.append(
                        {
                            "InstanceType": machine.instance_type,
                            "AcceleratorName": name,
                            "AcceleratorCount": count,
                            "vCPUs": room[0],
                            "MemoryGiB": room[1],
                            "Price": machine.get_cost(3600),
                            "Region": "",
                        }
                    )
    except Exception:  # whatever a cloud's own module raises without its account or its library
        return None
    return rows


def obstacle(cloud: str, nodes: int, spot: bool, mount: bool) -> str | None:
    """Why SkyPilot cannot run such a job on the cloud, in its own words; None if it can. Raises LaunchError if
    SkyPilot cannot say without asking the cluster."""
    if cloud in CLUSTERS:
        raise LaunchError(f"SkyPilot asks the cluster what `{cloud}` supports", f"`sky check {cloud}` says more")
    sky = _sky()
    from sky.clouds import CloudImplementationFeatures as Feature
    from sky.utils.registry import CLOUD_REGISTRY

    asked = {Feature.DOCKER_IMAGE: True, Feature.AUTODOWN: True, Feature.MULTI_NODE: nodes > 1}
    asked |= {Feature.SPOT_INSTANCE: spot, Feature.STORAGE_MOUNTING: mount}
    kind = CLOUD_REGISTRY.from_str(cloud)
    try:  # SkyPilot's public question answers with a drawn table
        reasons = kind._unsupported_features_for_resources(sky.Resources(cloud=kind))
    except Exception as problem:
        raise _failure(problem, f"sky check {cloud}") from None
    lacking = [reasons[feature] for feature, needed in asked.items() if needed and feature in reasons]
    return " ".join(str(lacking[0]).split()).rstrip(".") if lacking else None


def launch(
    name: str, task: Mapping[str, Any], login: Mapping[str, str], patience: Patience, said: Callable[[str], None]
) -> Cluster:
    """The cluster is up, and has the task's job if that runs something. `login` lets it pull its image, and is told to
    the job too. `said` hears SkyPilot's lines. Raises NoCapacity, or LaunchError; there may be a machine then."""
    sky = _sky()
    from sky.skylet.autostop_lib import AutostopWaitFor

    tried = Tried()
    try:
        made = sky.Task.from_yaml_config(dict(task))
        made.update_secrets(dict(login))
        request = sky.launch(
            made,
            cluster_name=name,
            idle_minutes_to_autostop=patience.idle,
            wait_for=None if patience.idle is None else AutostopWaitFor.JOBS_AND_SSH,
            down=patience.idle is not None,
            fast=True,  # a cluster that is up is not made again
        )
        late = threading.Timer(patience.start * 60, lambda: sky.api_cancel(request, silent=True))
        late.start()
        try:
            job, handle = sky.stream_and_get(request, output_stream=Lines(lambda line: said(tried.read(line))))
        except KeyboardInterrupt:
            sky.get(sky.api_cancel(request, silent=True))
            raise
        finally:
            late.cancel()
    except sky.exceptions.RequestCancelled:
        raise LaunchError(
            f"no machine of `{name}` was ready after {patience.start:g} minutes",
            "launch again; some need longer: `sky.start_minutes` in site.yaml",
            FAILED,
        ) from None
    except sky.exceptions.ResourcesUnavailableError as problem:
        raise no_capacity(problem, tried.reasons) from None
    except sky.exceptions.NoCloudAccessError as problem:
        raise NoCapacity(f"SkyPilot: {in_a_line(problem)}", "`sky check` says why", tried=False) from None
    except Exception as problem:
        raise _failure(problem, f"sky logs --provision {name}") from None
    machine = handle.launched_resources
    names = str(machine.cloud).lower(), str(machine.region), str(machine.instance_type)
    return Cluster(*names, _price(handle), None if job is None else int(job))


def submit(name: str, task: Mapping[str, Any]) -> int:
    """The number of the job that now runs the task on the cluster. Raises LaunchError."""
    sky = _sky()
    job, _ = _answer(lambda: sky.exec(sky.Task.from_yaml_config(dict(task)), cluster_name=name), f"sky logs {name}")
    return int(job)


def state(name: str, ask_provider: bool = False) -> str | None:
    """`UP`, `INIT`, `STOPPED`, or None when SkyPilot knows no such cluster (any more)."""
    sky = _sky()
    refresh = sky.StatusRefreshMode.FORCE if ask_provider else sky.StatusRefreshMode.AUTO
    clusters = _answer(lambda: sky.status([name], refresh=refresh), "sky status --refresh")
    return str(clusters[0]["status"].value) if clusters else None


def working(name: str) -> int | None:
    """The number of a job that has not ended; None when there is none."""
    sky = _sky()
    jobs = _answer(lambda: sky.queue(name, skip_finished=True), f"sky queue {name}")
    return max((int(entry["job_id"]) for entry in jobs if not entry["status"].is_terminal()), default=None)


def job_state(name: str, job: int) -> str | None:
    """`RUNNING`, `SUCCEEDED`, `FAILED`, ...; None when nobody knows. Raises LaunchError when the cluster is gone."""
    sky = _sky()
    states = _answer(lambda: sky.job_status(name, [job]), f"sky queue {name}")
    value = next(iter(states.values()), None)
    return None if value is None else str(value.value)


def output(name: str, job: int, lines: int) -> str:
    """The last lines that the job printed."""
    sky = _sky()
    text = io.StringIO()
    try:
        sky.tail_logs(name, job, follow=False, tail=lines, output_stream=text)
    except Exception as problem:
        return f"(no output: {problem})"
    return ANSI.sub("", text.getvalue())


def down(name: str) -> None:
    """The cluster does not exist any more, as far as SkyPilot knows. Raises LaunchError."""
    sky = _sky()
    try:
        sky.get(sky.down(name))
    except sky.exceptions.ClusterDoesNotExist:  # it has ended already
        pass
    except Exception as problem:
        raise _failure(problem, f"sky down {name}") from None


def ssh_config(name: str) -> Path:
    """The file by which SkyPilot makes ssh know the cluster."""
    return Path("~/.sky/generated/ssh").expanduser() / name


def _sky() -> Any:
    os.environ.setdefault("SKYPILOT_DISABLE_USAGE_COLLECTION", "1")
    try:
        import sky
    except ImportError:
        raise LaunchError("SkyPilot is not installed here", "run `make setup-clouds`") from None
    return sky


def _answer(ask: Callable[[], Any], look: str) -> Any:
    """What SkyPilot's server answers to the request that `ask` makes. Raises LaunchError."""
    try:
        return _sky().get(ask())
    except Exception as problem:
        raise _failure(problem, look) from None


def _price(handle: Any) -> float | None:
    try:
        price = float(handle.launched_resources.get_cost(3600)) * int(handle.launched_nodes)
    except Exception:  # a catalog without this machine
        return None
    return None if str(handle.launched_resources.cloud).lower() in CLUSTERS else price  # it counts 0 there


def _failure(problem: BaseException, look: str) -> LaunchError:
    kind = type(problem).__name__
    return LaunchError(f"SkyPilot: {in_a_line(problem) or kind}", f"`{look}` says more", FAILED)


class NoCapacity(LaunchError):
    """No cloud that was asked has such a machine now; when none was asked at all, `tried` is false."""

    def __init__(self, error: str, hint: str, tried: bool):
        super().__init__(error, hint, FAILED if tried else MISTAKE)
        self.tried = tried


class Tried:
    """The regions that SkyPilot asked, and what each of them said, from its own lines."""

    def __init__(self) -> None:
        self.region = ""
        self.reasons: dict[str, str] = {}

    def read(self, line: str) -> str:
        """The line, once it was searched for a region and for a reason."""
        if match := re.search(r"Launching on ([^.]+?)(?: \(.*\))?\.", line):
            self.region = match[1]
        elif match := re.search(r"run_instances error: (.*)", line):
            self.reasons[self.region] = match[1]
        return line


def no_capacity(problem: Any, reasons: Mapping[str, str]) -> NoCapacity:
    """What was asked, and why each region had none."""
    tried = [f"{region}: {why}" for region, why in reasons.items()]
    tried = tried or [in_a_line(reason) for reason in getattr(problem, "failover_history", None) or []]
    said = "; ".join(reason.rstrip(".") for reason in dict.fromkeys(tried) if reason) or in_a_line(problem)
    hint = "`--wait HOURS` asks again until there is one; `--cloud runpod,lambda` asks more clouds"
    return NoCapacity(f"no machine is to be had: {said}", hint if tried else "`sky check` says why", bool(tried))


def in_a_line(problem: BaseException) -> str:
    """What an exception says, in one line."""
    text = ANSI.sub("", str(problem))
    return " ".join(text.split())[:400]


class Lines(io.TextIOBase):
    """A stream that hands on whole lines, without colours and progress signs."""

    def __init__(self, said: Callable[[str], None]):
        self.said, self.rest = said, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if plain := ANSI.sub("", line).strip():
                self.said(plain)
        return len(text)
