"""What SkyPilot says of jobs, for a process of its own, with catalogs and nothing else below HOME. It reads {cloud: {a
job's path: its GPUs in the cloud's words}} and prints [[cloud, path, how its dry run ends, machines], ...]."""

import contextlib
import json
import sys

import sky
from sky import check, exceptions, execution, global_user_state, optimizer
from sky.clouds.cloud import CloudCapability
from sky.skylet import constants

HOME = constants.SKYPILOT_DEFAULT_WORKSPACE


def enable(cloud):
    """As after a `sky check` that found credentials for this cloud alone."""
    global_user_state.set_allowed_clouds(check._get_workspace_allowed_clouds(HOME), HOME)
    global_user_state.set_enabled_clouds([cloud], CloudCapability.COMPUTE, HOME)


def dryrun(path):
    """True when `sky launch --dryrun` of the file as it is ends well; or why it does not."""
    try:
        execution.launch(sky.Task.from_yaml(path), cluster_name="dry", dryrun=True)
    except exceptions.ResourcesUnavailableError as problem:
        return str(problem)
    return True


def machines(path, gpus):
    """[type, dollars an hour of all nodes] of every machine that SkyPilot would take for these GPUs."""
    task = sky.Task.from_yaml(path)
    if gpus:
        names = [gpu.partition(":") for gpu in gpus]
        task.set_resources({next(iter(task.resources)).copy(accelerators={n: int(c)}) for n, _, c in names})
    launchable_of = optimizer._fill_in_launchable_resources(task, None, quiet=True)[0]
    each = [resource for launchable in launchable_of.values() for resource in launchable]
    return sorted({(resource.instance_type, round(resource.get_cost(3600) * task.num_nodes, 4)) for resource in each})


def main():
    said = []
    for cloud, jobs in json.load(sys.stdin).items():
        enable(cloud)
        with contextlib.redirect_stdout(sys.stderr):
            said += [[cloud, path, dryrun(path), machines(path, gpus)] for path, gpus in jobs.items()]
    print(json.dumps(said))


if __name__ == "__main__":
    main()
