"""The table of providers: one row says all that is particular to a cloud, and what is not known of it. A provider is
asked for its machines through SkyPilot's clients for it, past everything SkyPilot remembers."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.clouds import skypilot
from launcher.config.site import HERE
from launcher.errors import FAILED, LaunchError, did_you_mean


@dataclass(frozen=True)
class Provider:
    """A cloud. What it cannot do is a sentence, and None where it can. No field has a default: a row says everything.
    SkyPilot has a price list of each of them."""

    name: str
    """SkyPilot's word for it, and `--cloud`'s."""
    title: str
    """As people write it."""
    key_file: str
    """Where SkyPilot reads the account's key, below the home folder."""
    key_line: str
    """What that file has to hold."""
    key_fault: Callable[[str], str | None]
    """What is wrong with the text of that file; None of one that holds a key."""
    key_page: str
    """Where a key is made."""
    console: str
    """Where a person sees and ends machines."""
    no_spot: str | None
    no_mount: str | None
    """Why a bucket cannot be mounted."""
    no_joining: str | None
    """Why several machines cannot work together."""
    no_disk: str | None
    """Why a machine's disk is not as large as the job file says."""
    least: tuple[str, str] | None
    """CPUs and memory of a machine without GPUs where a job names neither; None where any will do."""
    gpus: Mapping[str, str]
    """Names of GPUs in `accelerators.CARDS` -> SkyPilot's words for them here, where it has others than elsewhere."""
    machines: Callable[[], dict[str, str]]
    """Id -> name of every machine of the account that is not ended."""
    terminate: Callable[[str], object]
    """Tells the provider to end the machine with this id."""
    unknown: tuple[str, ...]
    """What the launcher does not know before a launch."""


def clouds_of(text: str) -> tuple[str, ...]:
    """The clouds that `--cloud` names: one, or several rented ones with commas between. A cloud without a row is
    accepted if the installed SkyPilot knows it. Raises LaunchError."""
    clouds = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for cloud in clouds:
        if cloud not in cloud_names():
            _ask_skypilot(cloud)
        if len(clouds) > 1 and cloud in HERE:
            rest = ",".join(other for other in clouds if other not in HERE)
            raise LaunchError(
                f"`{cloud}` is this machine, and not one of several clouds", f"`--cloud {rest or cloud}` without it"
            )
    return clouds


def cloud_names() -> tuple[str, ...]:
    """The values of `--cloud` that need no SkyPilot to be understood."""
    return (*HERE, "slurm", *(row.name for row in PROVIDERS))


def provider(cloud: str) -> Provider | None:
    """The row of a cloud; None of one that has none."""
    return next((row for row in PROVIDERS if row.name == cloud), None)


def experimental(clouds: Iterable[str]) -> list[str]:
    """The clouds that only SkyPilot knows: this launcher was never tested on them."""
    return [cloud for cloud in clouds if cloud not in cloud_names()]


def _ask_skypilot(cloud: str) -> None:
    """Raises LaunchError if SkyPilot does not know the cloud, or is not installed."""
    clouds: tuple[str, ...] = ()
    if re.fullmatch("[a-z0-9]+", cloud):  # SkyPilot's import takes seconds
        clouds = skypilot.cloud_names()
    if cloud not in clouds:
        near = difflib.get_close_matches(cloud, {*cloud_names(), *clouds}, n=1)
        others = "; `sky check` lists the experimental ones" if clouds and not near else ""
        raise LaunchError(f"unknown cloud `{cloud}`", did_you_mean(cloud, near or cloud_names()) + others)


def account_machines(cloud: str) -> dict[str, str]:
    """Id -> name of every machine of the account that is not ended; nothing of a cloud without a row. Raises
    LaunchError when it does not answer."""
    row = provider(cloud)
    try:
        return row.machines() if row else {}
    except Exception as problem:
        error = f"{cloud} does not say which machines are alive: {_reason(problem)}"
        raise LaunchError(error, f"look at {cloud}'s own console", FAILED) from None


def end(cloud: str, id: str) -> None:
    """The provider was told to end the machine. Raises LaunchError when it refuses, or does not answer."""
    if not (row := provider(cloud)):
        return
    try:
        row.terminate(id)
    except Exception as problem:
        raise LaunchError(
            f"{row.title} did not terminate machine `{id}`: {_reason(problem)}",
            f"it may still cost money: terminate it at {row.console}",
            FAILED,
        ) from None


def of_run(machines: Mapping[str, str], cloud: str, run: str) -> list[str]:
    """The ids of a run's machines among an account's: SkyPilot names them after the cluster and this user."""
    name = _name(cloud, run)
    return [id for id, machine in machines.items() if machine in (f"{name}-head", f"{name}-worker") or machine == name]


def _name(cloud: str, run: str) -> str:
    from sky.utils import common_utils
    from sky.utils.registry import CLOUD_REGISTRY

    kind = CLOUD_REGISTRY.from_str(cloud)
    longest = kind.max_cluster_name_length() if kind else None
    return str(common_utils.make_cluster_name_on_cloud(run, max_length=longest))


def _reason(problem: Exception) -> str:
    """What a client of a provider says, in one short line."""
    return " ".join(str(problem).split())[:200] or type(problem).__name__


def _runpod() -> Any:
    from sky.provision.runpod import utils

    return utils


def _runpod_machines() -> dict[str, str]:
    return {id: machine["name"] for id, machine in _runpod().list_instances().items()}


def _runpod_key_fault(text: str) -> str | None:
    section = re.search(r"^[ \t]*\[default\][ \t]*(#[^\n]*)?$(.*?)(?=^[ \t]*\[|\Z)", text, re.M | re.S)
    if section is None:
        return "has no section `[default]`"
    key = re.search(r"^[ \t]*api_key[ \t]*=[ \t]*(\"[^\"\s]+\"|'[^'\s]+')[ \t]*(#.*)?$", section[2], re.M)
    return None if key else 'has no line `api_key = "KEY"` in its section `[default]`'


def _lambda() -> Any:
    from sky.provision.lambda_cloud.lambda_utils import LambdaCloudClient

    return LambdaCloudClient()


def _lambda_machines() -> dict[str, str]:
    machines = _lambda().list_instances()
    alive = [machine for machine in machines if machine["status"] not in ("terminating", "terminated")]
    return {machine["id"]: machine.get("name") or "" for machine in alive}


def _lambda_key_fault(text: str) -> str | None:
    lines = [line.strip() for line in text.splitlines()]
    return None if any(re.fullmatch(r"api_key = \S+", line) for line in lines) else "has no line `api_key = KEY`"


PROVIDERS = (
    Provider(
        name="runpod",
        title="RunPod",
        key_file=".runpod/config.toml",  # sky/clouds/runpod.py
        key_line='`[default]` and `api_key = "KEY"`',
        key_fault=_runpod_key_fault,
        key_page="console.runpod.io/user/settings",
        console="https://console.runpod.io/pods",
        no_spot=None,
        no_mount="SkyPilot mounts no bucket on RunPod: its pods have no /dev/fuse",  # sky/clouds/runpod.py
        no_joining="SkyPilot joins no machines on RunPod",  # sky/clouds/runpod.py
        no_disk=None,
        least=None,
        gpus={
            "H200-SXM": "H200-SXM",
            "H100-SXM": "H100-SXM",
            "H100-PCIe": "H100",
            "A100-80GB-SXM": "A100-80GB-SXM",
            "A100-80GB-PCIe": "A100-80GB",
            "A6000": "RTXA6000",
        },
        machines=_runpod_machines,
        terminate=lambda id: _runpod().remove(id),
        unknown=("whether a machine is free now", "whether the key is still valid"),
    ),
    Provider(
        name="lambda",
        title="Lambda",
        key_file=".lambda_cloud/lambda_keys",  # sky/provision/lambda_cloud/lambda_utils.py
        key_line="`api_key = KEY`, with its spaces",
        key_fault=_lambda_key_fault,
        key_page="cloud.lambda.ai/api-keys",
        console="https://cloud.lambda.ai/instances",
        no_spot="Lambda has no spot machines",  # sky/clouds/lambda_cloud.py
        no_mount=None,
        no_joining=None,
        no_disk="Lambda's machines have disks of their own sizes",  # sky/provision/lambda_cloud passes no size on
        least=("30+", "4x"),  # sky/catalog/lambda_catalog.py
        gpus={"H100-PCIe": "H100"},
        machines=_lambda_machines,
        terminate=lambda id: _lambda().remove_instances([id]),
        unknown=("whether a machine is free now", "whether the key is still valid"),
    ),
)
"""By SkyPilot 0.14.1."""
