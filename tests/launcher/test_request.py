from pathlib import Path

import pytest

from launcher.node.records import Budget
from launcher.request import Request, any_family, planned, rehearsal_of
from launcher.site import BudgetSite, SiteFile


def test_the_recipe_s_own_data_stands_in_for_the_user_s(toy):
    found = toy.plan()
    assert found.inputs["train"].path == "recipes/toy/numbers.jsonl"
    assert found.inputs["train"].rows == 64
    assert found.run == "toy-tiny"


@pytest.mark.parametrize("data", ["train=mine.jsonl", "mine.jsonl"])
def test_the_user_s_data_comes_first_and_a_file_alone_is_train(toy, data):
    (toy.root / "mine.jsonl").write_text('{"n": 1}\n' * 16)
    found = toy.plan(data=[data])
    assert found.inputs["train"].path == "mine.jsonl"
    assert [stage.steps for stage in found.stages] == [2, 4]


def test_the_plan_is_the_same_in_every_clone(toy, monkeypatch):
    here = toy.plan().inputs["train"].path
    monkeypatch.chdir(toy.root.parent)
    assert toy.plan().inputs["train"].path == "project/recipes/toy/numbers.jsonl"
    assert not Path(here).is_absolute()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cloud": "runpot"}, "`runpot` is no cloud of ours\n\nhint: did you mean `runpod`?"),
        (
            {"data": ["trian=a.jsonl"]},
            "`--data trian=a.jsonl`: the recipe has no input `trian`\n\nhint: did you mean `train`?",
        ),
        ({"data": ["train="]}, "input `train`: `.` is neither .parquet nor .jsonl\n\nhint: convert it to one of them"),
        ({"data": ["a.jsonl"]}, "input `train`: `a.jsonl` is no file\n\nhint: check the path"),
        ({"run": "A"}, "`A` cannot name a run\n\nhint: use up to 48 of a-z, 0-9 and -, beginning with a letter"),
        (
            {"stages": "defautl"},
            "`recipes/toy/recipe.yaml` has no stage list `defautl`\n\nhint: did you mean `default`?",
        ),
    ],
)
def test_a_wrong_word_on_the_command_line_is_a_sentence(toy, refusal, options, error):
    assert refusal(toy.plan, **options) == f"error: {error}"


def test_a_rented_machine_needs_a_job_file(toy, refusal):
    assert refusal(toy.plan, cloud="runpod") == (
        f"error: `{toy.root / 'jobs/toy-tiny.yaml'}` does not exist\n\nhint: check the name and the folder you are in"
    )
    (toy.root / "jobs").mkdir(exist_ok=True)
    (toy.root / "jobs/toy-tiny.yaml").write_text(
        "num_nodes: 2\nresources: {accelerators: H100:8, disk_size: 9}\nrun: x"
    )
    machine = toy.plan(cloud="runpod").machine
    assert (machine.cloud, machine.accelerators, machine.nodes, machine.disk_gb) == ("runpod", ("H100:8",), 2, 9)
    assert toy.plan(cloud="local").machine.accelerators == ()


@pytest.mark.parametrize(
    ("cost", "hours", "budget"),
    [(None, None, Budget(5.0, 6.0)), (1.0, None, Budget(1.0, 6.0)), (0.0, 0.5, Budget(0.0, 0.5))],
)
def test_the_command_line_s_budget_wins_over_the_site_s(toy, cost, hours, budget):
    site = SiteFile(budget=BudgetSite(max_cost=5, max_hours=6))
    request = Request("toy-tiny", max_cost=cost, max_hours=hours)
    assert planned(request, toy.root, site).plan.budget == budget


def test_a_rehearsal_is_the_smallest_size_here_under_its_own_name(toy):
    (toy.root / "recipes/toy/sizes/7b.yaml").write_text("about: large\n")
    found = rehearsal_of(Request("toy-7b", "runpod", stages="short", changes=["batch=4"], max_cost=3.0), toy.root)
    assert found == Request("toy-tiny", "local", "toy-rehearsal", "short", (), ["batch=4"])
    assert rehearsal_of(Request("toy-7b", run="mine"), toy.root).run == "mine"


def test_a_rehearsal_of_nothing_is_of_the_first_family(toy, tmp_path, refusal, project):
    assert any_family(toy.root) == "toy-tiny"
    assert any_family(project) == "gad-tiny"
    assert refusal(any_family, tmp_path / "none") == (
        f"error: there is no recipe under `{tmp_path / 'none/recipes'}`\n\nhint: run this in the project's folder"
    )
