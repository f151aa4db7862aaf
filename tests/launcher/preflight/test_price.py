from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.clouds.catalog import Catalog, Kind
from launcher.clouds.offers import Offer
from launcher.config.job import Job
from launcher.preflight.cost import bound
from launcher.preflight.cost import price as check
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Budget, Code, Machine, Plan

CATALOGS = {
    "runpod": Catalog(
        "runpod",
        (
            Kind("8x_H100-SXM_SECURE", "H100-SXM", 8, 160, 1000, 23.92, ("US",)),
            Kind("8x_B200_SECURE", "B200", 8, 224, 1440, 54.32, ("US",)),
            Kind("cpu5c-4-8", "", 0, 4, 8, 0.14, ("US",)),
        ),
    ),
    "lambda": Catalog("lambda", (Kind("gpu_8x_h100_sxm5", "H100", 8, 208, 1800, 31.92, ("us-east-1",)),), 9),
}
JOB = Job(Path("jobs/some-7b.yaml"), ("H100-SXM:8", "H100:8", "B200:8"), 1, None, None)
TABLE = (
    "runpod  8x_H100-SXM_SECURE  8 x H100-SXM  $23.92/h",
    "lambda  gpu_8x_h100_sxm5    8 x H100      $31.92/h",
    "runpod  8x_B200_SECURE      8 x B200      $54.32/h",
)
OLD = "Lambda's prices are 9 days old"


def plan(cloud, cost=None, hours=None):
    return Plan("run", "some-7b", (), "one", Code("0"), Machine(cloud), budget=Budget(cost, hours))


def test_without_a_limit_there_are_prices_and_a_warning():
    assert check(plan("runpod,lambda"), JOB, CATALOGS) == Finding(
        "price",
        WARNING,
        "$23.92 to $54.32 an hour, and nothing limits the run",
        "give `--max-cost` or `--max-hours`, or set `budget` in site.yaml",
        (*TABLE, OLD),
    )


@pytest.mark.parametrize(
    ("cost", "hours", "ends", "each"),
    [
        (100, None, "1.8 to 4.2 h at the latest, for $100.00", ("4.2 h, $100.00", "3.1 h, $100.00", "1.8 h, $100.00")),
        (None, 24, "24 h at the latest, for $1,303.68", ("24 h, $574.08", "24 h, $766.08", "24 h, $1,303.68")),
        (100, 2, "1.8 to 2 h at the latest, for $100.00", ("2 h, $47.84", "2 h, $63.84", "1.8 h, $100.00")),
    ],
)
def test_a_limit_is_told_in_hours_and_in_money(cost, hours, ends, each):
    assert check(plan("runpod,lambda", cost, hours), JOB, CATALOGS) == Finding(
        "price",
        OK,
        f"$23.92 to $54.32 an hour; ends after {ends} at most",
        details=(*(f"{line}  {tail}" for line, tail in zip(TABLE, each, strict=True)), OLD),
    )


def test_one_machine_has_one_price():
    cpu = replace(JOB, accelerators=(), cpus="2+", memory="8+")
    assert check(plan("runpod", hours=1), cpu, CATALOGS) == Finding(
        "price",
        OK,
        "$0.14 an hour; ends after 1 h at the latest, for $0.14 at most",
        details=("runpod  cpu5c-4-8  4 CPUs, 8 GiB  $0.14/h  1 h, $0.14",),
    )


def test_several_nodes_are_paid_together():
    found = check(plan("lambda", hours=1), replace(JOB, nodes=4), CATALOGS)
    assert found.details == ("lambda  gpu_8x_h100_sxm5  4 x (8 x H100)  $127.68/h  1 h, $127.68", OLD)


@pytest.mark.parametrize(("cost", "minutes"), [(0.0, "0.0"), (3.9, "9.8")])
def test_money_that_is_gone_before_anything_happened_is_refused(cost, minutes):
    found = check(plan("runpod", cost), JOB, CATALOGS)
    assert (found.level, found.says, found.hint) == (
        REFUSED,
        f"${cost:.2f} pays for {minutes} minutes of the cheapest machine",
        "raise `--max-cost`, or `budget.max_cost` in site.yaml",
    )
    assert check(plan("runpod", 4.0), JOB, CATALOGS).level == OK


def test_a_price_that_is_not_known_is_unknown():
    assert check(plan("runpod", 100), JOB, {}) == Finding(
        "price",
        UNKNOWN,
        "SkyPilot has not fetched RunPod's prices yet: `sky gpus list --infra runpod` does",
        "without prices only `--max-hours` limits the run",
    )
    assert check(plan("kubernetes"), JOB, {}) == Finding(
        "price",
        UNKNOWN,
        "the price of a machine on `kubernetes` is unknown: SkyPilot has no prices of it",
        "without prices only `--max-hours` limits the run",
    )
    some = check(plan("runpod,kubernetes", 100), JOB, CATALOGS)
    assert (some.level, some.hint) == (WARNING, "a machine without a known price may cost more")
    assert some.details[-1] == "the price of a machine on `kubernetes` is unknown: SkyPilot has no prices of it"


def test_a_job_that_no_machine_fits_is_refused_with_the_nearest():
    assert check(plan("runpod"), replace(JOB, accelerators=("H100-SXM:16",)), CATALOGS) == Finding(
        "price",
        REFUSED,
        "no machine of runpod has H100-SXM:16: the nearest there is 8 x H100-SXM (`8x_H100-SXM_SECURE`)",
        "take another cloud, or change `resources` in jobs/some-7b.yaml",
    )
    assert check(plan("lambda,runpod"), replace(JOB, accelerators=(), cpus="999", memory="8+"), CATALOGS).says == (
        "no machine of lambda or runpod has 999 CPUs, 8+ GiB: the nearest there is 8 x H100 (`gpu_8x_h100_sxm5`)"
    )
    assert check(plan("runpod"), JOB, {"runpod": Catalog("runpod", ())}).says == (
        "no machine of runpod has H100-SXM:8 or H100:8 or B200:8"
    )


def test_machines_that_cannot_work_together_are_refused():
    assert check(plan("runpod"), replace(JOB, nodes=8), CATALOGS) == Finding(
        "price",
        REFUSED,
        "SkyPilot joins no machines on RunPod, and the job wants 8",
        "take another cloud, or a size that one machine holds",
    )


limit = st.none() | st.floats(0.01, 1e6)


@given(limit, limit, st.floats(0.01, 1000))
def test_neither_limit_is_ever_exceeded(cost, hours, price):
    end = bound(Offer("runpod", "a", "", 0, price, (), 1, 1), Budget(cost, hours))
    assert hours is None or end <= hours
    assert cost is None or end * price <= cost * (1 + 1e-9)
    assert end == float("inf") or end in (hours, cost and cost / price)
