from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.clouds.catalog import Catalog, Kind
from launcher.clouds.offers import Offer, fits, joining_faults, missing_prices, nearest, offers, old_prices
from launcher.config.job import Job

ZONES = ("US", "RO")
RUNPOD = Catalog(
    "runpod",
    (
        Kind("cpu3c-2-4", "", 0, 2, 4, 0.06, ZONES),
        Kind("cpu3c-8-16", "", 0, 8, 16, 0.24, ZONES),
        Kind("cpu5c-4-8", "", 0, 4, 8, 0.14, ZONES),
        Kind("8x_H100-SXM_SECURE", "H100-SXM", 8, 160, 1000, 23.92, ZONES),
        Kind("4x_H100-SXM_SECURE", "H100-SXM", 4, 80, 500, 11.96, ZONES),
        Kind("8x_H100_SECURE", "H100", 8, 128, 1504, 19.12, ZONES),
    ),
)
LAMBDA = Catalog(
    "lambda",
    (
        Kind("cpu_4x_general", "", 0, 4, 16, 0.2, ("us-east-1",)),
        Kind("gpu_8x_h100_sxm5", "H100", 8, 208, 1800, 31.92, ("us-east-1",)),
        Kind("gpu_1x_h100_pcie", "H100", 1, 26, 200, 3.29, ("us-east-1",)),
    ),
)
BOTH = {"runpod": RUNPOD, "lambda": LAMBDA}
GPUS = Job(Path("jobs/a.yaml"), ("H100-SXM:8", "H100:8"), 1, None, None)
CPU = Job(Path("jobs/a.yaml"), (), 1, None, None, "2+", "8+")


def names(job, *clouds):
    return [one.instance_type for one in offers(job, clouds or BOTH, BOTH)]


def test_every_machine_with_the_wanted_gpus_is_offered_the_cheapest_first():
    assert offers(GPUS, ["lambda", "runpod"], BOTH) == [
        Offer("runpod", "8x_H100-SXM_SECURE", "H100-SXM", 8, 23.92, ZONES, 160, 1000),
        Offer("lambda", "gpu_8x_h100_sxm5", "H100", 8, 31.92, ("us-east-1",), 208, 1800),
    ]


def test_of_machines_without_gpus_it_is_each_cloud_s_cheapest():
    assert names(CPU) == ["cpu5c-4-8", "cpu_4x_general"]
    assert names(replace(CPU, cpus="8", memory=None), "runpod") == ["cpu3c-8-16"]
    assert names(replace(CPU, cpus=None, memory="1x"), "runpod") == ["cpu3c-2-4"]
    assert names(replace(CPU, cpus="64+"), "runpod") == ["4x_H100-SXM_SECURE"]  # as SkyPilot: by price alone
    assert names(replace(CPU, cpus=None, memory=None)) == ["cpu3c-2-4", "gpu_8x_h100_sxm5"]


def test_the_price_is_of_all_nodes_and_runpod_s_do_not_work_together():
    [one] = offers(replace(GPUS, nodes=4), BOTH, BOTH)
    assert (one.cloud, one.price_per_hour, one.nodes) == ("lambda", 127.68, 4)
    assert joining_faults(replace(GPUS, nodes=4), BOTH) == {
        "runpod": "SkyPilot joins no machines on RunPod, and the job wants 4"
    }
    assert joining_faults(GPUS, BOTH) == {}


def test_what_has_no_price_and_what_is_old_is_said():
    assert missing_prices(["runpod", "lambda", "slurm"], {"lambda": LAMBDA}) == {
        "runpod": "SkyPilot has not fetched RunPod's prices yet: `sky gpus list --infra runpod` does",
        "slurm": "the price of a machine on `slurm` is unknown: SkyPilot has no prices of it",
    }
    assert old_prices(["lambda", "slurm"], {"lambda": replace(LAMBDA, age=7.0)}) == {}
    assert old_prices(["lambda"], {"lambda": replace(LAMBDA, age=9.4)}) == {"lambda": "Lambda's prices are 9 days old"}
    assert offers(GPUS, ["slurm", "runpod"], {}) == []


def test_the_nearest_is_of_the_wanted_kind_or_the_largest_of_another():
    def near(job, *clouds):
        found = nearest(job, clouds, BOTH)
        return found and found.instance_type

    assert near(replace(GPUS, accelerators=("H100-SXM:16",)), "runpod") == "8x_H100-SXM_SECURE"
    assert near(replace(GPUS, accelerators=("B200:8",)), "runpod", "lambda") == "8x_H100_SECURE"
    assert near(replace(CPU, cpus="9000+"), "lambda") == "gpu_8x_h100_sxm5"
    assert near(GPUS, "slurm") is None


@given(
    st.builds(
        Job,
        st.just(Path("jobs/a.yaml")),
        st.lists(st.sampled_from(["H100:8", "H100-SXM:8", "H100:1", "B200:2"])).map(tuple),
        st.integers(1, 4),
        st.none(),
        st.none(),
        st.sampled_from([None, "2", "2+", "30+"]),
        st.sampled_from([None, "8+", "4x", "16"]),
    ),
    st.lists(st.sampled_from(["runpod", "lambda", "slurm"]), unique=True),
)
def test_an_offer_fits_costs_something_and_comes_in_its_place(job, clouds):
    found = offers(job, clouds, BOTH)
    assert [one.price_per_hour for one in found] == sorted(one.price_per_hour for one in found)
    for one in found:
        [kind] = [kind for kind in BOTH[one.cloud].kinds if kind.name == one.instance_type]
        assert one.cloud in clouds and fits(job, one.cloud, kind)
        assert one.price_per_hour == pytest.approx(kind.price * job.nodes)
