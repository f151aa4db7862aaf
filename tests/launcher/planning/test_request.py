import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config.job import read_job
from launcher.config.site import BucketSite, BudgetSite, SiteFile
from launcher.planning.request import Request, any_family, draft, rehearsal_of
from launcher.runfolder.plan import Bucket, Budget, to_json
from tests.emulator import catalog


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
        ({"cloud": "runpot"}, "unknown cloud `runpot`\n\nhint: did you mean `runpod`?"),
        (
            {"data": ["trian=a.jsonl"]},
            "`--data trian=a.jsonl`: the recipe has no input `trian`\n\nhint: did you mean `train`?",
        ),
        ({"data": ["train="]}, "input `train`: `.` is neither .parquet nor .jsonl\n\nhint: convert it to one of them"),
        ({"data": ["a.jsonl"]}, "input `train`: `a.jsonl` is not a file\n\nhint: check the path"),
        ({"run": "A"}, "invalid run name `A`\n\nhint: use at most 48 of a-z, 0-9 and -; the first is a letter"),
        (
            {"stages": "defautl"},
            "`recipes/toy/recipe.yaml` has no stage list `defautl`\n\nhint: did you mean `default`?",
        ),
    ],
)
def test_a_wrong_word_on_the_command_line_is_a_sentence(toy, refusal, options, error):
    assert refusal(toy.plan, **options) == f"error: {error}"


def test_a_rented_machine_needs_a_job_file(toy, refusal):
    (toy.root / "jobs/toy-tiny.yaml").unlink()
    assert refusal(toy.plan, cloud="runpod") == (
        f"error: `{toy.root / 'jobs/toy-tiny.yaml'}` does not exist\n\nhint: check the name and the folder you are in"
    )
    (toy.root / "jobs/toy-tiny.yaml").write_text(
        "num_nodes: 2\nresources: {accelerators: H100:8, disk_size: 9}\nrun: x"
    )
    machine = toy.plan(cloud="runpod").machine
    assert (machine.cloud, machine.accelerators, machine.nodes, machine.disk_gb) == ("runpod", ("H100:8",), 2, 9)
    assert toy.plan(cloud="local").machine.accelerators == ()


def test_several_clouds_stay_as_they_are_written(toy, refusal):
    found = toy.planned(cloud="runpod,lambda")
    assert found.plan.machine.cloud == "runpod,lambda"
    assert found.job == read_job(toy.root / "jobs/toy-tiny.yaml") and toy.planned().job is None
    assert refusal(toy.plan, cloud="runpod,lamda") == "error: unknown cloud `lamda`\n\nhint: did you mean `lambda`?"


def test_prices_are_not_in_a_plan(toy, tmp_path, monkeypatch):
    before = toy.plan(cloud="runpod")
    monkeypatch.setenv("HOME", str(tmp_path))
    catalog.write(tmp_path)
    assert to_json(toy.plan(cloud="runpod")) == to_json(before)


def test_a_run_outside_this_environment_has_an_image_named_by_what_is_in_it(toy):
    assert toy.plan().image is None
    image = toy.plan(cloud="runpod").image
    assert image.name.startswith("launcher-toy:cpu-") and (image.digest, image.overlay) == (None, False)
    named = SiteFile(registry="ghcr.io/acme/")
    assert draft(Request("toy-tiny", "runpod"), toy.root, named).plan.image.name == f"ghcr.io/acme/{image.name}"
    (toy.root / "recipes/toy/count.py").write_text("other = 1\n")
    edited = toy.plan(cloud="runpod").image
    assert edited.lock == image.lock and edited.code != image.code and edited.name != image.name
    (toy.root / "locks/cpu.lock").write_text("six==1.16.0\n")
    assert toy.plan(cloud="runpod").image.lock != image.lock
    job = toy.root / "jobs/toy-tiny.yaml"
    job.write_text("resources: {accelerators: H100:8}\nrun: x\n")
    assert toy.plan(cloud="runpod").image.variant == "cuda"


def test_the_environment_is_the_same_in_an_image_and_out_of_it(toy):
    here, there = toy.plan(), toy.plan(cloud="docker")
    assert here.environment == there.environment == toy.plan(cloud="runpod").environment
    assert len(here.environment) == 64
    (toy.root / "locks/cuda.in").write_text("other")
    assert toy.plan().environment == here.environment
    (toy.root / "jobs/toy-tiny.yaml").write_text("resources: {accelerators: H100:8}\nrun: x\n")
    assert toy.plan(cloud="runpod").environment != here.environment
    (toy.root / "locks/cpu.lock").write_text("six==1.16.0\n")
    assert toy.plan().environment not in (None, here.environment)
    (toy.root / "locks/cpu.lock").unlink()
    assert toy.plan().environment is None


def test_the_site_s_bucket_is_the_plan_s_with_the_names_of_its_keys(toy):
    keys = {"AWS_ACCESS_KEY_ID": True, "AWS_SECRET_ACCESS_KEY": True}
    for cloud in ("local", "docker", "runpod"):
        site = SiteFile(
            bucket=BucketSite(url="s3://some/deep", endpoint="https://e", provider="Cloudflare", region="auto")
        )
        found = draft(Request("toy-tiny", cloud), toy.root, site).plan
        assert found.bucket == Bucket("s3://some/deep", "https://e", "Cloudflare", "auto")
        assert found.secrets == keys
    site = SiteFile(bucket=BucketSite(url="mine:deep"))
    assert draft(Request("toy-tiny"), toy.root, site).plan.secrets == {}
    assert toy.plan().bucket is None


def test_a_job_file_s_own_image_goes_before_ours(toy):
    job, digest = toy.root / "jobs/toy-tiny.yaml", f"sha256:{'c' * 64}"
    for text, name, found in (
        (f"docker:ghcr.io/acme/some@{digest}", "ghcr.io/acme/some", digest),
        ("docker:ghcr.io/acme/some:tag", "ghcr.io/acme/some:tag", None),
    ):
        job.write_text(f"resources: {{image_id: '{text}'}}\nrun: x\n")
        image = toy.plan(cloud="runpod").image
        assert (image.name, image.digest, image.lock != "") == (name, found, True)


def test_what_is_not_committed_is_laid_over_the_committed_image(toy):
    git = ["git", "-C", str(toy.root)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True, env=toy.env)
    clean = toy.plan(cloud="runpod")
    assert not clean.code.dirty and not clean.image.overlay
    assert toy.plan(cloud="runpod", dirty=True) == clean
    with open(toy.root / "recipes/toy/count.py", "a") as file:
        file.write("# more\n")
    edited, laid = toy.plan(cloud="runpod"), toy.plan(cloud="runpod", dirty=True)
    assert edited.code == laid.code and edited.code.dirty and edited.code.tree != clean.code.tree
    assert edited.image.name != clean.image.name and not edited.image.overlay
    assert laid.image == replace(clean.image, overlay=True)


@pytest.mark.parametrize(
    ("cost", "hours", "budget"),
    [(None, None, Budget(5.0, 6.0)), (1.0, None, Budget(1.0, 6.0)), (0.0, 0.5, Budget(0.0, 0.5))],
)
def test_the_command_line_s_budget_wins_over_the_site_s(toy, cost, hours, budget):
    site = SiteFile(budget=BudgetSite(max_cost=5, max_hours=6))
    request = Request("toy-tiny", max_cost=cost, max_hours=hours)
    assert draft(request, toy.root, site).plan.budget == budget


def test_a_rehearsal_is_the_smallest_size_here_under_its_own_name(toy):
    (toy.root / "recipes/toy/sizes/7b.yaml").write_text("about: large\n")
    found = rehearsal_of(Request("toy-7b", "docker", stages="short", changes=["batch=4"]), toy.root)
    assert found == Request("toy-tiny", "docker", "toy-rehearsal", "short", changes=["batch=4"])
    assert rehearsal_of(Request("toy-7b", run="mine"), toy.root).run == "mine"


def test_a_rehearsal_of_nothing_is_of_the_first_family(toy, tmp_path, refusal, project):
    assert any_family(toy.root) == "toy-tiny"
    assert any_family(project) == "gad-tiny"
    assert refusal(any_family, tmp_path / "none") == (
        f"error: there is no recipe under `{tmp_path / 'none/recipes'}`\n\nhint: run this in the project's folder"
    )
