"""What a recipe expects of a run: its own command, told what earlier runs of the family measured."""

import json
import os

import pytest

from launcher.config.site import SiteFile
from launcher.planning.request import Request, draft
from launcher.preflight.cost import RUNS, measurements
from launcher.preflight.cost import outlook as lines
from launcher.runfolder.plan import Code, Machine, Plan, Stage, to_json
from launcher.transfer.store import Store
from launcher.ui import console

PROGRAM = """
import json, sys
request = json.load(open(sys.argv[1]))
print(*(stage["name"] for stage in request["stages"]), request["stages"][0]["settings"]["batch"])
for one in request["measured"]:
    print(one["run"], one["recipe"], one["where"], one["stage"], one["settings"], one["metrics"])
"""


@pytest.fixture
def store(tmp_path):
    return Store(SiteFile(runs=tmp_path / "runs"))


def earlier(store, name, recipe="toy-tiny", metrics=(("sum", {"total": 3}),), age=0, machine=None):
    """A run of the past, `age` seconds ago, some of whose stages are done."""
    stages = tuple(Stage(stage, ("a",), config={"batch": 8}) for stage in ("sum", "again"))
    folder = store.folder(name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text(to_json(Plan(name, recipe, stages, "again", Code("0"), machine or Machine())))
    os.utime(folder.plan, (1_700_000_000 - age, 1_700_000_000 - age))
    for stage, found in metrics:
        folder.stage(stage).path.mkdir(parents=True)
        folder.stage(stage).done.write_text(json.dumps({"metrics": found}))


def test_a_recipe_without_the_command_says_nothing(toy, store):
    plan = toy.planned()
    assert lines(plan.plan, plan.recipe, store, toy.root) == []


def asked(toy, store, program=PROGRAM):
    (toy.root / "recipes/toy/expect.py").write_text(program)
    toy.change_recipe("image: toy\n", 'image: toy\noutlook: [python, -m, recipes.toy.expect, "{request}"]\n')
    plan = toy.planned()
    return lines(plan.plan, plan.recipe, store, toy.root)


def test_the_command_gets_the_settings_and_the_newest_measurements_first(toy, store):
    earlier(store, "old", age=60, metrics=[("sum", {"total": 1}), ("again", {"total": 2})])
    earlier(store, "new", metrics=[("sum", {"total": 3})], machine=Machine("slurm", ("A100:4",)))
    earlier(store, "other", recipe="other-tiny")
    earlier(store, "unfinished", metrics=[])
    assert asked(toy, store) == [
        "sum again 8",
        "new toy-tiny slurm, A100:4 sum {'batch': 8} {'total': 3}",
        "old toy-tiny local, CPU again {'batch': 8} {'total': 2}",
        "old toy-tiny local, CPU sum {'batch': 8} {'total': 1}",
    ]


def test_a_command_that_breaks_is_said_and_refuses_nothing(toy, store):
    assert asked(toy, store, "raise KeyError('rate')") == ["no outlook: KeyError: 'rate'"]


def test_a_damaged_run_is_passed_over_and_old_runs_are_not_all_read(store):
    for number in range(RUNS + 3):
        earlier(store, f"run{number}", age=number)
    store.folder("run1").plan.write_text("{")
    found = [one["run"] for one in measurements("toy", store)]
    assert len(found) == RUNS and "run1" not in found and found[-1] == f"run{RUNS}"


def test_it_is_shown_below_the_checks(capsys, monkeypatch):
    monkeypatch.setattr(console.out, "_width", 80)
    console.show_plan(Plan("r", "toy-tiny", (), "again", Code("0")), [], ["tokens       unknown"])
    assert capsys.readouterr().out.endswith("\n\ntokens       unknown\n")


def test_the_planning_table_of_profile_dpo(project, store, monkeypatch):
    monkeypatch.chdir(project)
    found = draft(Request("profile_dpo-phi3-mini", changes=["candidates=16", "orders=1"]), project, SiteFile())
    said = lines(found.plan, found.recipe, store, project)
    assert "judge        945 comparisons: 945 questions" in said and "tokens       unknown" in said
    judged = [("tournament", {"tokens_in_a_reply": 3000, "tokens_out_a_reply": 300, "seconds_a_reply": 6})]
    earlier(store, "night", "profile_dpo-phi3-mini", [])
    folder = store.folder("night")
    stage = Stage("tournament", ("a",), config={"judge": "endpoint"})
    folder.plan.write_text(to_json(Plan("night", "profile_dpo-phi3-mini", (stage,), "tournament", Code("0"))))
    for name, metrics in judged:
        folder.stage(name).path.mkdir(parents=True)
        folder.stage(name).done.write_text(json.dumps({"metrics": metrics}))
    words = ["candidates=16", "orders=1", "judge=endpoint", "endpoint_url=https://a.example/v1", "endpoint_model=gpt"]
    found = draft(
        Request("profile_dpo-phi3-mini", changes=[*words, "price_in=5.0", "price_out=15.0"]), project, SiteFile()
    )
    said = lines(found.plan, found.recipe, store, project)
    assert [line for line in said if "$" in line] == [
        "API cost     $18.43 with 0 rounds batched",
        "             $13.51 with 1 rounds batched, 1 day longer at most",
        "             $11.06 with 2 rounds batched, 2 days longer at most",
    ]
    assert said[-1] == "measured by  night (profile_dpo-phi3-mini, local, CPU)"
