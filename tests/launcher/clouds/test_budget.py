"""The budget becomes a moment at which a machine stops by itself."""

import pytest

from launcher.clouds.budget import LEAST, RESERVE, limits, seconds_left
from launcher.errors import LaunchError
from launcher.runfolder.plan import Budget, Code, Plan, Stage

STAGES = (Stage("a", ("true",), grace=60), Stage("b", ("true",), grace=240))


def plan(**budget):
    return Plan("r", "toy-tiny", STAGES, "b", Code(""), budget=Budget(**budget))


@pytest.mark.parametrize(
    ("budget", "hours", "dollars", "price", "seconds"),
    [
        ({}, 100, 1000, 30, None),
        ({"max_hours": 10}, 4, 0, None, 6 * 3600),
        ({"max_cost": 100}, 0, 40, 20, 3 * 3600),
        ({"max_cost": 100}, 0, 40, None, None),
        ({"max_cost": 100, "max_hours": 2}, 1, 40, 20, 3600),
        ({"max_cost": 100, "max_hours": 20}, 1, 40, 20, 3 * 3600),
    ],
)
def test_what_is_left_is_the_least_of_what_the_limits_leave(budget, hours, dollars, price, seconds):
    assert seconds_left(plan(**budget), hours, dollars, price) == seconds


def test_a_budget_that_is_spent_says_so_before_a_machine_is_asked_for():
    with pytest.raises(LaunchError) as problem:
        seconds_left(plan(max_cost=12), 3, 12.5, None)
    assert str(problem.value) == (
        "error: run `r` has cost $12.50, its budget is $12.00\n\nhint: allow more with `--max-cost`"
    )
    with pytest.raises(LaunchError) as problem:
        seconds_left(plan(max_hours=3), 3 - LEAST / 7200, 12.5, 2)
    assert str(problem.value) == (
        "error: the budget of run `r` is used up: 2.99 hours and $12.50\n\n"
        "hint: allow more with `--max-hours` or `--max-cost`"
    )


def test_the_node_is_told_when_to_stop_with_time_to_store_what_it_has():
    assert limits(plan(), 36000, 30, 1000.0) == {
        "format": 1,
        "until": 37000.0,
        "reason": "budget",
        "reserve_seconds": RESERVE + 240,
        "stall_seconds": 1800,
    }
    assert limits(plan(), 400, 30, 1000.0)["reserve_seconds"] == 100
    assert limits(plan(), None, 30, 1000.0)["until"] is None
