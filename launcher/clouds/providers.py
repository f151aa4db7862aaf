"""What a provider itself says is alive: through SkyPilot's clients for it, past everything SkyPilot remembers."""

from collections.abc import Mapping
from typing import Any

from launcher.errors import FAILED, LaunchError

ASKED = ("runpod", "lambda")
"""Clouds that can be asked; for others SkyPilot's own word has to do."""


def listed(cloud: str) -> dict[str, str]:
    """Id -> name of every machine of the account that is not ended. Raises LaunchError when it does not answer."""
    try:
        if cloud == "runpod":
            return {id: one["name"] for id, one in _runpod().list_instances().items()}
        if cloud == "lambda":
            found = _lambda().list_instances()
            return {
                one["id"]: one.get("name") or "" for one in found if one["status"] not in ("terminating", "terminated")
            }
    except Exception as problem:
        raise _silent(cloud, problem) from None
    return {}


def end(cloud: str, id: str) -> None:
    """The provider was told to end the machine. Raises LaunchError."""
    try:
        if cloud == "runpod":
            _runpod().remove(id)
        elif cloud == "lambda":
            _lambda().remove_instances([id])
    except Exception as problem:
        raise _silent(cloud, problem) from None


def of_run(machines: Mapping[str, str], cloud: str, run: str) -> list[str]:
    """The ids of a run's machines among an account's: SkyPilot names them after the cluster and this user."""
    name = _name(cloud, run)
    return [id for id, found in machines.items() if found in (f"{name}-head", f"{name}-worker") or found == name]


def _name(cloud: str, run: str) -> str:
    from sky.utils import common_utils
    from sky.utils.registry import CLOUD_REGISTRY

    kind = CLOUD_REGISTRY.from_str(cloud)
    longest = kind.max_cluster_name_length() if kind else None
    return str(common_utils.make_cluster_name_on_cloud(run, max_length=longest))


def _runpod() -> Any:
    from sky.provision.runpod import utils

    return utils


def _lambda() -> Any:
    from sky.provision.lambda_cloud.lambda_utils import LambdaCloudClient

    return LambdaCloudClient()


def _silent(cloud: str, problem: Exception) -> LaunchError:
    said = " ".join(str(problem).split())[:200] or type(problem).__name__
    return LaunchError(
        f"{cloud} does not say which machines are alive: {said}", f"look at {cloud}'s own console", FAILED
    )
