import dataclasses
import json
import os
import subprocess
import sys

import pytest

from launcher.config.pins import Pins
from launcher.planning.plan import Choice, World, loose_pins, plan
from launcher.planning.settings import parse_change
from launcher.runfolder.plan import Budget, Code, Image, Input, Machine, from_json, to_json

COMMIT, OTHER = "a" * 40, "b" * 40
TEXT = """
name: some
about: a recipe
image: some
packages: {verl: 0.9.1}
sources: {trainer: {git: /there, ref: main, package: trainer, folder: src}, unused: {git: /x, ref: y, package: z}}
models: {student: {repo: who/what, revision: main, parameters: 1000}}
inputs:
  train: {about: rows, rows: 1000, sample: sample}
  val: {about: rows, rows: 100, sample: sample, share: 0.25}
secrets: {HF_TOKEN: true, WANDB_API_KEY: false}
settings: {batch: 8, sample: null, keep: 2, rate: 1.0e-6}
stages:
  model: {run: [python, "{config}", "{out}"], model: student, disk: {model: student, out: 2}}
  warmup:
    run: [python, "{config}", "{model}", "{input.train}"]
    needs: [model]
    uses: [batch, rate]
    settings: {mode: warm}
    source: trainer
    steps: {rows: train, batch: batch, epochs: 2}
    must: {files: ["*.pt"], metrics: {change: {above: 0}}}
    disk: {model: student, checkpoint: 24, kept: keep}
    grace: 5
  convert: {run: [python, "{student}"], needs: [student], disk: {model: student, out: 4}}
lists:
  default: {stages: [model, warmup, convert], names: {student: warmup}, export: convert}
  short: {stages: [model], export: model}
"""
LOCKED = Pins({"/there@main": COMMIT}, {"who/what@main": OTHER})
WORLD = World(LOCKED, Code("tree"))


def made(found, *changes, world=WORLD, **choice):
    return plan(found, Choice("run", changes=[parse_change(text) for text in changes], **choice), world)


def test_a_plan_says_everything_a_node_needs(recipe):
    found = made(recipe(TEXT))
    assert [stage.name for stage in found.stages] == ["model", "warmup", "convert"]
    warmup = found.stage("warmup")
    assert warmup.needs == {"model": "model"}
    assert warmup.config == {"batch": 8, "rate": 1e-6, "mode": "warm"}
    assert warmup.must.files == ("*.pt",)
    assert warmup.must.metrics == {"change": {"above": 0.0}, "step": {"equals": 250.0}}
    assert (warmup.steps, warmup.source, warmup.grace) == (250, "trainer", 5)
    assert found.stage("model").config == {"repo": "who/what", "revision": OTHER}
    assert found.stage("convert").needs == {"student": "warmup"}
    assert dataclasses.asdict(found.sources["trainer"]) == {
        "git": "/there",
        "ref": "main",
        "commit": COMMIT,
        "package": "trainer",
        "folder": "src",
    }
    assert list(found.sources) == ["trainer"]
    assert found.models["student"].commit == OTHER
    assert (found.recipe, found.export, found.packages) == ("some-tiny", "convert", {"verl": "0.9.1"})
    assert found.secrets == {"HF_TOKEN": True, "WANDB_API_KEY": False}


def test_the_same_files_give_the_same_bytes(recipe):
    one, other = made(recipe(TEXT)), made(recipe(TEXT))
    assert to_json(one) == to_json(other)
    assert from_json(to_json(one)) == one


def test_the_same_command_gives_the_same_bytes_in_every_process(toy):
    words = ["plan", "toy-tiny", "--json", "--set", "sum.start=3"]
    texts = set()
    for seed in ("0", "1"):
        env = {**toy.env, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-m", "launcher", *words],
            cwd=toy.root,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1
    assert from_json(texts.pop()) == toy.plan("sum.start=3")
    assert not (toy.root / "runs").exists()


@pytest.mark.parametrize(
    ("rows", "changes", "steps"),
    [
        (1000, [], 250),
        (1007, [], 250),
        (1008, [], 252),
        (1000, ["warmup.epochs=0.5"], 62),
        (1000, ["warmup.epochs=3"], 375),
        (1000, ["batch=3"], 666),
        (1000, ["sample=80"], 20),
        (1000, ["sample=5000"], 250),
        (8, [], 2),
    ],
)
def test_steps_are_whole_batches_times_epochs(recipe, rows, changes, steps):
    world = dataclasses.replace(WORLD, inputs={"train": Input("a.jsonl", "train.jsonl", 1, "0" * 64, rows)})
    found = made(recipe(TEXT), *changes, world=world)
    assert found.stage("warmup").steps == steps
    assert found.stage("warmup").must.metrics["step"] == {"equals": float(steps)}


def test_an_input_s_share_is_its_part_of_the_sample(recipe):
    text = TEXT.replace("rows: train, batch", "rows: val, batch")
    assert made(recipe(text), "sample=64").stage("warmup").steps == 4


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            ["batch=1001"],
            "error: stage `warmup` would train 0 steps: 1,000 rows, batch 1,001, epochs 2\n\n"
            "hint: give more data, or a smaller `batch`",
        ),
        (
            ["warmup.epochs=0.001"],
            "error: stage `warmup` would train 0 steps: 1,000 rows, batch 8, epochs 0.001\n\n"
            "hint: give more data, or a smaller `batch`",
        ),
        (["batch=0"], "error: setting `batch` is `0`\n\nhint: give a whole number from 1 on"),
        (["batch=-8"], "error: setting `batch` is `-8`\n\nhint: give a whole number from 1 on"),
        (["sample=0"], "error: setting `sample` is `0`\n\nhint: give a whole number from 1 on; null is all rows"),
        (["sample=some"], "error: setting `sample` is `some`\n\nhint: give a whole number from 1 on; null is all rows"),
        (
            ["warmpu.epochs=1"],
            "error: `--set warmpu.epochs`: there is no stage `warmpu`\n\nhint: did you mean `warmup`?",
        ),
    ],
)
def test_what_cannot_be_trained_is_not_planned(recipe, refusal, changes, error):
    assert refusal(made, recipe(TEXT), *changes) == error


def test_a_change_of_a_stage_that_the_list_does_not_run_is_refused(recipe, refusal):
    assert refusal(made, recipe(TEXT), "warmup.epochs=1", stages="short") == (
        "error: `--set warmup.epochs`: this run has no stage `warmup`\n\nhint: choose one of `model`"
    )


def test_a_git_source_that_is_not_locked_is_refused(recipe, refusal):
    assert refusal(made, recipe(TEXT), world=World(Pins(), Code("tree"))) == (
        "error: source `trainer` (`/there`, `main`) is not locked to a commit\n\n"
        "hint: run `launcher lock some-tiny` and commit the lock file"
    )


def test_a_source_that_is_not_declared_is_refused(recipe, refusal):
    assert refusal(made, recipe(TEXT.replace("source: trainer", "source: trianer"))) == (
        "error: `recipes/some/recipe.yaml`: unknown source `trianer`\n\nhint: did you mean `trainer`?"
    )


def test_a_source_pinned_to_a_commit_needs_no_lock(recipe):
    text = TEXT.replace("ref: main", f"ref: {OTHER}")
    assert made(recipe(text), world=World(Pins(), Code("tree"))).sources["trainer"].commit == OTHER


def test_a_model_without_a_lock_is_planned_by_name_and_told(recipe):
    found = made(recipe(TEXT), world=World(Pins({"/there@main": COMMIT}), Code("tree")))
    assert found.stage("model").config["revision"] == "main"
    assert loose_pins(found) == ["who/what@main"]
    assert loose_pins(made(recipe(TEXT))) == []


@pytest.mark.parametrize("repo", ["tiny", "./here", "/there", "~/home"])
def test_a_model_that_is_no_hub_s_needs_no_lock(recipe, repo):
    world = World(Pins({"/there@main": COMMIT}), Code("tree"))
    assert loose_pins(made(recipe(TEXT.replace("who/what", repo)), world=world)) == []


def test_disk_is_every_checkpoint_kept_the_best_one_and_one_being_written(recipe):
    # model out 2 + warmup 24 x (2 kept + best) + convert out 4, + 24 being written; 1000 weights
    assert made(recipe(TEXT)).disk_bytes == 1000 * (2 + 24 * 3 + 4 + 24)
    two = dataclasses.replace(WORLD, machine=Machine("runpod", ("H100:8",), 2))
    assert made(recipe(TEXT), world=two).disk_bytes == 1000 * (2 + 24 * 3 + 4 + 24) // 2


def test_only_the_inputs_that_a_stage_names_are_sent(recipe):
    inputs = {name: Input(f"{name}.jsonl", f"{name}.jsonl", 1, "0" * 64, 1000) for name in ("val", "train")}
    assert list(made(recipe(TEXT), world=dataclasses.replace(WORLD, inputs=inputs)).inputs) == ["train"]


def test_the_image_is_the_world_s(recipe):
    image = Image("launcher-some:cuda-1", "cuda", "l" * 64, "c" * 64, f"sha256:{'d' * 64}")
    assert made(recipe(TEXT), world=dataclasses.replace(WORLD, image=image)).image == image
    assert made(recipe(TEXT)).image is None


def test_machine_and_budget_are_the_world_s(recipe):
    world = dataclasses.replace(WORLD, machine=Machine("runpod", ("H100:8",)), budget=Budget(10.0, None))
    assert made(recipe(TEXT), world=world).budget == Budget(10.0, None)
    assert made(recipe(TEXT), world=world).machine.accelerators == ("H100:8",)


def test_a_size_may_need_a_secret_that_the_others_do_not(recipe):
    assert made(recipe(TEXT, size="about: a\nsecrets: {WANDB_API_KEY: true}")).secrets == {
        "HF_TOKEN": True,
        "WANDB_API_KEY": True,
    }


def test_a_plan_holds_the_names_of_secrets_and_no_value(toy, monkeypatch):
    toy.change_recipe("image: toy\n", "image: toy\nsecrets: {HF_TOKEN: true}\n")
    monkeypatch.setitem(toy.env, "HF_TOKEN", "hf_the_value_of_it")
    monkeypatch.setitem(toy.env, "WANDB_API_KEY", "the_other_value")
    done = toy.launcher("launch", "toy-tiny", "--stages", "short")
    assert done.returncode == 0, done.stderr
    assert json.loads((toy.folder().plan).read_text())["secrets"] == {"HF_TOKEN": True}
    for path in (toy.root / "runs").rglob("*"):
        if path.is_file():
            assert b"hf_the_value_of_it" not in path.read_bytes(), path
            assert b"the_other_value" not in path.read_bytes(), path
    assert "hf_the_value" not in done.stdout + done.stderr


GAD = ["gad-3b", "gad-7b", "gad-14b", "gad-235b"]


@pytest.mark.parametrize(
    ("name", "an_epoch", "batch"), [("gad-7b", 1102, 256), ("gad-14b", 2205, 128), ("gad-235b", 4411, 64)]
)
def test_gad_trains_as_many_steps_as_the_paper_s_data_gives(project, environment, name, an_epoch, batch):
    done = subprocess.run(
        [sys.executable, "-m", "launcher", "plan", name, "--cloud", "runpod", "--json"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = from_json(done.stdout)
    assert found.stage("warmup").steps == 2 * an_epoch
    assert found.stage("adversarial").steps == 4 * an_epoch
    assert found.stage("warmup").config["train_batch"] == batch
    assert 282_367 // batch * 2 == 2 * an_epoch


def test_nothing_of_this_process_s_environment_is_in_a_plan(toy):
    text = to_json(toy.plan())
    for name in ("HOME", "PATH", "USER"):
        value = os.environ.get(name, "")
        assert len(value) < 5 or value not in text


@pytest.mark.parametrize("value", ['"two"', "true", "-1", "[2]"])
def test_a_number_of_checkpoints_that_is_none_is_a_sentence(recipe, refusal, value):
    found = recipe(TEXT.replace("keep: 2", f"keep: {value}"))
    said = refusal(made, found)
    assert said.startswith("error: setting `keep` is `")
    assert said.endswith("`\n\nhint: it says how many checkpoints stay: give a whole number")


def test_steps_without_end_are_a_sentence(recipe, refusal):
    found = recipe(
        TEXT.replace("rows: 1000, sample", "rows: 1000000000, sample").replace("epochs: 2", "epochs: 1.0e+9")
    )
    assert refusal(made, found) == (
        "error: stage `warmup` would train 125,000,000,000,000,000 steps\n\nhint: give fewer `epochs`"
    )
