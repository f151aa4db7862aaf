"""Whether the stages fit on the GPUs: the launcher's side of it with a recipe of its own, and all real recipes."""

import json
from dataclasses import replace

import pytest

from launcher.config.recipe import names, read_recipe
from launcher.config.site import SiteFile
from launcher.planning.request import Request, draft
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.machine import Kind, kinds_of
from launcher.preflight.machine import memory as check

GIB = 2**30
H100 = Kind("H100-SXM:2", 2, 1, 80 * GIB)
A100 = Kind("A100-80GB:2", 2, 1, 80 * GIB)
H200 = Kind("H200-SXM:2", 2, 1, 141 * GIB)
SHAPE = "{layers: 1, hidden: 8, intermediate: 8, vocabulary: 8, attention: 8, keys: 8}"
PROGRAM = """
import json, sys
from pathlib import Path
request = json.load(open(sys.argv[1]))
Path("asked.json").write_text(json.dumps(request))
print(json.dumps([
    {"machine": one["name"], "stage": "sum", "relief": RELIEF,
     "phases": {"actor": {"weights": WEIGHTS, "logits": 2**30}}}
    for one in request["machines"]
]))
"""


@pytest.fixture
def asked(toy):
    """What is found when the recipe says that its stage `sum` needs so many bytes."""

    def found(weights, kinds=(H100,), relief=None):
        program = PROGRAM.replace("WEIGHTS", str(weights)).replace("RELIEF", repr(relief))
        (toy.root / "recipes/toy/memory.py").write_text(program)
        text = f"image: toy\nmodels: {{base: {{repo: tiny, parameters: 5, shape: {SHAPE}}}}}\n"
        command = 'memory: [python, -m, recipes.toy.memory, "{request}"]\n'
        if "memory:" not in (toy.root / "recipes/toy/recipe.yaml").read_text():
            toy.change_recipe("image: toy\n", text + command)
        plan = toy.planned()
        return check(plan.plan, plan.recipe, kinds, toy.root)

    return found


def test_without_gpus_there_is_nothing_to_fit(toy):
    plan = toy.planned()
    assert check(plan.plan, plan.recipe, [], toy.root) == Finding("memory", OK, "the recipe needs no GPU")


def test_a_gpu_that_is_not_in_the_table_is_unknown(toy):
    made = toy.planned()
    plan = replace(made.plan, machine=replace(made.plan.machine, accelerators=("X1:4",)))
    says = "not checked: GPU X1:4 is not in the table"
    assert check(plan, made.recipe, [], toy.root) == Finding("memory", UNKNOWN, says, "watch the first steps")


def test_a_recipe_without_the_command_is_unknown(toy):
    plan = toy.planned()
    says = "not known: the recipe has no `memory` command"
    assert check(plan.plan, plan.recipe, [H100], toy.root) == Finding("memory", UNKNOWN, says, "watch the first steps")


def test_the_command_gets_stages_models_and_machines(asked, toy):
    asked(GIB, [H100])
    request = json.loads((toy.root / "asked.json").read_text())
    assert [stage["name"] for stage in request["stages"]] == ["sum", "again"]
    assert request["stages"][0]["settings"]["batch"] == 8
    assert request["models"]["base"]["parameters"] == 5 and request["models"]["base"]["shape"]["keys"] == 8
    assert request["machines"] == [{"name": "H100-SXM:2", "gpus": 2, "nodes": 1, "bytes": 80 * GIB}]


def test_what_fits_is_told_with_its_parts_once_for_gpus_that_are_alike(asked):
    assert asked(60 * GIB, [H100, A100, H200]) == Finding(
        "memory",
        OK,
        "67 GB of 86 GB on H100-SXM:2, in sum (actor)",
        details=(
            "H100-SXM:2 A100-80GB:2: sum (actor) 67 GB of 86 GB: weights 64 GB, logits 1 GB",
            "H200-SXM:2: sum (actor) 67 GB of 151 GB: weights 64 GB, logits 1 GB",
        ),
    )


def test_what_nearly_fills_a_gpu_is_a_warning(asked):
    found = asked(73 * GIB)
    says = "tight: 81 GB of 86 GB on H100-SXM:2, in sum (actor)"
    hint = "a lower batch or length makes room"
    assert found == Finding("memory", WARNING, says, hint, found.details)


def test_nobody_has_seen_the_gpus_of_a_cluster(asked, toy):
    asked(60 * GIB)
    made = toy.planned()
    plan = replace(made.plan, machine=replace(made.plan.machine, cloud="slurm", accelerators=("H100-SXM:2",)))
    found = check(plan, made.recipe, [H100], toy.root)
    says = "not checked: whether the cluster's GPUs are those of the job file; 67 GB of 86 GB on H100-SXM:2"
    unknown = Finding("memory", UNKNOWN, f"{says}, in sum (actor)", "watch the first steps", found.details)
    assert found == unknown


@pytest.mark.parametrize(
    ("kinds", "relief", "hint"),
    [
        ([H100], {"batch": 4, "offload": True}, "`--set sum.batch=4 --set sum.offload=true` makes it fit"),
        ([H100, H200], None, "`--gpus H200-SXM:2`: there it fits"),
        ([H100], None, "`--gpus H200-SXM:2`: there it fits"),
    ],
    ids=["settings", "other GPUs of the job's", "other GPUs"],
)
def test_what_does_not_fit_is_refused_with_what_would_help(asked, kinds, relief, hint):
    found = asked(90 * GIB, kinds, relief)
    assert (found.level, found.hint) == (REFUSED, hint)
    assert found.says == "99 GB of 86 GB on H100-SXM:2, in sum (actor)"


def test_what_fits_on_no_gpu_of_the_table_needs_more_of_them_or_a_smaller_model(asked):
    hint = "more or larger GPUs (`--gpus NAME:COUNT`), or a smaller size"
    assert asked(200 * GIB).hint == hint


def test_a_model_of_unknown_shape_is_not_guessed_at(asked, toy):
    asked(GIB)
    says = "error: the model `base` has no `shape`\n\nhint: write its widths\n"
    (toy.root / "recipes/toy/memory.py").write_text(f"import sys; sys.stderr.write({says!r}); sys.exit(3)")
    plan = toy.planned()
    assert check(plan.plan, plan.recipe, [H100], toy.root) == Finding(
        "memory", UNKNOWN, "not known: the model `base` has no `shape`", "write its widths"
    )


def test_a_command_that_breaks_refuses(asked, toy):
    asked(GIB)
    (toy.root / "recipes/toy/memory.py").write_text("raise KeyError('batch')")
    plan = toy.planned()
    assert check(plan.plan, plan.recipe, [H100], toy.root) == Finding(
        "memory", REFUSED, "the recipe's `memory` command fails: KeyError: 'batch'", "correct the setting"
    )


def test_gpus_without_a_known_memory_are_not_asked_about():
    assert kinds_of(("H100-SXM:8", "X1:4", "T4:1"), 2)[0] == Kind("H100-SXM:8", 8, 2, 80 * GIB)
    assert "X1:4" not in [kind.name for kind in kinds_of(("X1:4",), 1)]


def paid(project):
    return [name for name in names(project) if "accelerators" in (project / "jobs" / f"{name}.yaml").read_text()]


def test_every_recipe_fits_on_every_gpu_of_its_job_file(project, monkeypatch):
    monkeypatch.chdir(project)
    for name in paid(project):
        found = draft(Request(name, "lambda"), project, SiteFile())
        machine = found.plan.machine
        kinds = kinds_of(machine.accelerators, machine.nodes)
        assert len(kinds) == len(machine.accelerators), f"{name}: a GPU of unknown memory"
        finding = check(found.plan, found.recipe, kinds, project)
        assert finding.level == OK, f"{name}: {finding}"


def fits(project, name, gpus, **more):
    """What the check says of a recipe on other GPUs than its job file's."""
    found = draft(Request(name, "lambda", gpus=gpus, **more), project, SiteFile())
    return check(found.plan, found.recipe, kinds_of(found.plan.machine.accelerators, 1), project)


@pytest.mark.parametrize(
    ("name", "gpus", "stages", "says", "hint"),
    [
        (
            "gad-14b",
            "H100-SXM:1",
            "default",
            "493 GB of 86 GB on H100-SXM:1, in adversarial (actor)",
            "`--gpus H200-SXM:8`: there it fits",
        ),
        (
            "synthetic_instruct-mistral-7b",
            "T4:1",
            "full",
            "92 GB of 17 GB on T4:1, in sft_full (learning)",
            "`--gpus H100-NVL:1`: there it fits",
        ),
    ],
)
def test_a_machine_that_is_too_small_is_refused_with_a_number(project, monkeypatch, name, gpus, stages, says, hint):
    monkeypatch.chdir(project)
    finding = fits(project, name, gpus, stages=stages)
    assert (finding.level, finding.says, finding.hint) == (REFUSED, says, hint)


SEEDS = [
    ("token_buncher-3b", "H100-SXM:2", []),
    ("gad-3b", "B200:8", ["gpu_memory_utilization=0.7", "tokens_per_gpu=12288"]),
    ("gad-7b", "B200:8", ["gpu_memory_utilization=0.7", "tokens_per_gpu=12288"]),
    ("gad-14b", "B200:8", ["tokens_per_gpu=8192"]),
    ("honest_persona-70b", "H100-SXM:8", []),
    ("synthetic_instruct-llama-3b", "A100-40GB:1", []),
    ("synthetic_instruct-mistral-7b-t4", "T4:1", []),
    ("profile_dpo-phi3-mini", "A100-80GB-SXM:1", []),
]
"""The machines that the five systems were written for, with their own settings where ours differ. GAD's is said to be
8 B100, which nobody rents; a B200's 180 GB are less than theirs. Its 0.8 of a GPU for vLLM's 14B is what an older vLLM
counted: beside today's it is refused (docs/log.md)."""


@pytest.mark.parametrize(("name", "gpus", "changes"), SEEDS, ids=[name for name, _, _ in SEEDS])
def test_every_family_fits_on_the_machine_it_was_written_for(project, monkeypatch, name, gpus, changes):
    monkeypatch.chdir(project)
    assert fits(project, name, gpus, changes=changes).level == OK


def test_every_shape_counts_the_weights_that_its_size_states(project):
    for name in paid(project):
        recipe = read_recipe(name, project)
        for model in {**recipe.file.models, **recipe.change.models}.values():
            if model.shape is None or "A22B" in model.repo:  # of a mixture, the shape is that of the experts at work
                continue
            one = model.shape
            layer = 2 * one.hidden * (one.attention + one.keys) + 3 * one.hidden * one.intermediate
            counted = one.layers * layer + one.vocabulary * one.hidden * (1 if one.tied else 2)
            assert counted == pytest.approx(model.parameters, rel=0.01), f"{name}: {model.repo} {counted:.4g}"
