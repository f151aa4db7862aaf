from dataclasses import replace

from launcher.clouds.ledger import Entry
from launcher.report.facts import Attempt, Facts, comparison
from launcher.runfolder.plan import Code, Input, Machine, Model, Plan, Stage
from launcher.runfolder.status import status

ONE = Plan(
    "a",
    "gad-7b",
    (Stage("data", ("a",)), Stage("train", ("a",), config={"lr": 1e-6, "batch": 8}, steps=10)),
    "train",
    Code("1" * 64, commit="2" * 40),
    packages={"verl": "0.9.1"},
    models={"student": Model("Qwen/a", "main", "3" * 40)},
    inputs={"train": Input("x", "x", 1, "4" * 64, 5)},
)


def facts(plan=ONE, end=100.0, **given):
    tries = (Attempt("data", 1, 0.0, 10.0, "done"), Attempt("train", 1, 10.0, end, "done"))
    done = {"train": {"metrics": {"loss": 0.5, "mode": "x"}}, "data": {"metrics": {"rows": 5}}}
    whole = {"attempts": tries, "done": done, **given}
    return Facts(plan, status(plan, [], False), 200.0, **whole)


def rows(one, other):
    return dict(comparison(one, other))


def test_two_runs_of_one_plan_differ_in_nothing():
    found = rows(facts(), facts(replace(ONE, run="b")))
    assert found["differences"] == [("none", "", "")]
    assert found["metrics"] == [("train loss", "0.5", "0.5")]
    assert found["time and cost"] == [
        ("state", "planned", "planned"),
        ("data", "10s", "10s"),
        ("train", "1m 30s, step 0", "1m 30s, step 0"),
        ("whole run", "1m 40s", "1m 40s"),
        ("cost", "$0", "$0"),
    ]


def test_everything_that_differs_has_a_row():
    other = replace(
        ONE,
        stages=(ONE.stages[0], replace(ONE.stages[1], config={"lr": 2e-6, "batch": 8, "new": None}, steps=20)),
        code=Code("5" * 64, dirty=True),
        packages={"verl": "0.9.2"},
        models={"student": Model("Qwen/a", "main", "6" * 40)},
        inputs={"train": Input("x", "x", 1, "7" * 64, 6)},
        machine=Machine("runpod", ("H100:8",), 2),
        environment="8" * 64,
    )
    assert rows(facts(), facts(other))["differences"] == [
        ("cloud", "local", "runpod"),
        ("machine", "1 x CPU", "2 x H100:8"),
        ("code", "222222222222", "no commit + changes"),
        ("recipe code", "111111111111", "555555555555"),
        ("environment", "none", "888888888888"),
        ("package verl", "0.9.1", "0.9.2"),
        ("model student", "Qwen/a 333333333333", "Qwen/a 666666666666"),
        ("data train", "444444444444, 5 rows", "777777777777, 6 rows"),
        ("train lr", "1e-06", "2e-06"),
        ("train steps", "10", "20"),
        ("train new", "-", "null"),
    ]


def test_numbers_are_of_the_last_step_where_a_stage_has_no_sum():
    running = facts(done={}, history={"train": {1: {"loss": 4.0}, 2: {"loss": 3.0, "seconds": 9}}})
    assert rows(running, facts())["metrics"] == [("train loss", "3", "0.5"), ("data rows", "-", "5")]


def test_what_machines_cost_is_put_side_by_side():
    machine = Entry("a", "runpod", "f", 0.0, price=36.0, ended=100.0)
    paid, unknown = facts(machines=(machine,)), facts(machines=(replace(machine, price=None),))
    assert rows(paid, unknown)["time and cost"][-1] == ("cost", "$1.00", "unknown")
