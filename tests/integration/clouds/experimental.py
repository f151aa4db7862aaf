"""What SkyPilot and the launcher say of jobs on clouds that only SkyPilot knows, for a process of its own with price
lists and nothing else below HOME. It reads {cloud: [a job's path, ...]} and prints what SkyPilot knows, and
[[cloud, path, obstacle, SkyPilot's machines, our offers], ...]."""

import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import sky
from sky import optimizer

from launcher.backends.sky.task import machine_task
from launcher.clouds import skypilot
from launcher.clouds.catalog import folder, read_catalogs
from launcher.clouds.offers import offers
from launcher.clouds.providers import clouds_of
from launcher.config.job import read_job
from launcher.config.yaml import load
from launcher.runfolder.plan import Code, Image, Machine, Plan
from tests.integration.clouds.dryrun import enable


def machines(cloud, job):
    """[type, dollars an hour of all nodes] of what SkyPilot may take for the task that a launch submits."""
    machine = Machine(cloud, job.accelerators, job.nodes, job.disk_gb)
    plan = Plan("dry", job.path.stem, (), "", Code("t"), machine=machine, image=Image("acme/a:b", "cuda", "l", "c"))
    task = sky.Task.from_yaml_config(machine_task(plan, load(job.path)))
    launchable = optimizer._fill_in_launchable_resources(task, None, quiet=True)[0]
    each = [resources for several in launchable.values() for resources in several]
    return sorted({(one.instance_type, round(one.get_cost(3600) * task.num_nodes, 4)) for one in each})


def ours(cloud, job):
    """[type, dollars an hour] of what the launcher plans with."""
    catalogs = read_catalogs(clouds_of(cloud), folder(os.environ), 0.0, job)
    return sorted({(offer.instance_type, offer.price_per_hour) for offer in offers(job, [cloud], catalogs)})


def main():
    answers = []
    with contextlib.redirect_stdout(sys.stderr):
        for cloud, paths in json.load(sys.stdin).items():
            enable(cloud)
            for path in paths:
                job = read_job(Path(path))
                obstacle = skypilot.obstacle(cloud, job.nodes, False, False)
                alone = job if obstacle is None else replace(job, nodes=1)
                answers.append([cloud, path, obstacle, machines(cloud, job), ours(cloud, alone)])
    print(json.dumps([skypilot.cloud_names(), answers]))


if __name__ == "__main__":
    main()
