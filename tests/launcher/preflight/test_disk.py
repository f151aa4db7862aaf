import dataclasses

import pytest

from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.machine import disk as check
from launcher.runfolder.plan import Code, Machine, Plan

PLAN = Plan("run", "some-tiny", (), "one", Code("t"), disk_bytes=1_500 * 10**9)


@pytest.mark.parametrize(
    ("disk_gb", "free", "finding"),
    [
        (None, 1_500 * 10**9, Finding("disk", OK, "1.5 TB of 1.5 TB here")),
        (
            None,
            1_499 * 10**9,
            Finding(
                "disk",
                REFUSED,
                "the run needs 1.5 TB for checkpoints, 1.5 TB are here",
                "give more disk, or keep fewer checkpoints (`--set keep_last=1`)",
            ),
        ),
        (2000, None, Finding("disk", OK, "1.5 TB of 2.0 TB in the job file")),
        (
            100,
            None,
            Finding(
                "disk",
                REFUSED,
                "the run needs 1.5 TB a node for checkpoints, 100 GB are in the job file",
                "give more disk, or keep fewer checkpoints (`--set keep_last=1`)",
            ),
        ),
        (
            None,
            None,
            Finding(
                "disk",
                WARNING,
                "the run needs 1.5 TB a node; the job file states no `disk_size`",
                "set `resources.disk_size` in the job file",
            ),
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_what_is_not_known_is_warned_of(disk_gb, free, finding):
    assert check(dataclasses.replace(PLAN, machine=Machine("runpod", disk_gb=disk_gb)), free) == finding


@pytest.mark.parametrize(
    ("cloud", "unseen"), [("aws", "aws"), ("lambda", "lambda"), ("runpod,lambda,aws", "lambda and aws")]
)
def test_nobody_has_seen_the_disk_of_lambda_and_of_an_experimental_cloud(cloud, unseen):
    plan = dataclasses.replace(PLAN, machine=Machine(cloud, disk_gb=2000))
    says = f"not checked: whether {unseen} gives a machine the 2.0 TB of the job file; the run needs 1.5 TB a node"
    assert check(plan, None) == Finding("disk", UNKNOWN, says, "watch the disk of the first hours")
    assert check(dataclasses.replace(PLAN, machine=Machine(cloud, disk_gb=100)), None).level == REFUSED


@pytest.mark.parametrize("disk_gb", [None, 100, 2000])
def test_nobody_has_seen_the_storage_of_a_cluster_unless_it_is_here(disk_gb):
    plan = dataclasses.replace(PLAN, machine=Machine("slurm", disk_gb=disk_gb))
    says = "not checked: the room on the cluster's storage; the run needs 1.5 TB a node"
    assert check(plan, None) == Finding("disk", UNKNOWN, says, "look at your quota there")
    assert check(plan, 2 * 10**12) == Finding("disk", OK, "1.5 TB of 2.0 TB here")


def test_what_is_free_here_is_shared_by_all_nodes():
    plan = dataclasses.replace(PLAN, machine=Machine("slurm", nodes=2))
    assert check(plan, 2_999 * 10**9).level == REFUSED
    assert check(plan, 3_000 * 10**9) == Finding("disk", OK, "3.0 TB of 3.0 TB here")
    assert check(dataclasses.replace(PLAN, machine=Machine("runpod", nodes=2, disk_gb=1_500)), None).level == OK


def test_a_recipe_without_weights_needs_no_room():
    plan = dataclasses.replace(PLAN, disk_bytes=0)
    assert check(plan, 0) == Finding("disk", OK, "disk use is negligible")
