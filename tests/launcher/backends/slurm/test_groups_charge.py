"""A job's cost in a cluster's own unit."""

from launcher.backends.slurm.groups import Group, charge, units_an_hour, weights
from launcher.config.slurm import Needs

WEIGHTS = "TRESBillingWeights=CPU=1.0,Mem=0.25G,GRES/gpu=10,GRES/gpu:h100=20"


def group(**needs):
    return Group(1, ("train",), Needs(**needs), 60)


def test_cores_memory_and_gpus_count_by_the_weights_of_the_partition():
    worth = weights(WEIGHTS)
    assert worth == {"cpu": 1.0, "mem": 0.25, "gres/gpu": 10.0, "gres/gpu:h100": 20.0}
    assert units_an_hour(worth, group(), 1) == 1.0
    assert units_an_hour(worth, group(gres="gpu:4", options={"cpus-per-task": 24, "mem": "100G"}), 2) == 2 * (
        24 + 25 + 40
    )
    assert units_an_hour(worth, group(gres="gpu:h100:4"), 1) == 81.0
    assert weights("TRESBillingWeights=Mem=1.0T") == {"mem": 1 / 1024}


def test_a_cluster_without_a_unit_says_nothing():
    assert charge("", group(), 1) is None
    assert charge(WEIGHTS, group(), 1) == "1-train: 1.0 of the cluster's billing units an hour"
    assert charge(WEIGHTS, group(gres="gpu:8", time="1-00:00:00"), 1) == (
        "1-train: 81.0 of the cluster's billing units an hour, 1,944.0 in the 1-00:00:00 that it may take"
    )
