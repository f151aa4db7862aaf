"""Files that people write: recipes, sizes, job files, site.yaml, locks, settings of the command line."""

import itertools
import json
import math
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from launcher.backends.sky.task import allocation_task, machine_task, run_task
from launcher.backends.slurm import batch_script, groups
from launcher.clouds.catalog import Catalog, Kind
from launcher.clouds.offers import nearest, offers
from launcher.commands.plan import script
from launcher.config.recipe import RecipeFile, SizeFile
from launcher.config.secrets import references
from launcher.config.site import SiteFile, read_site
from launcher.config.yaml import load
from launcher.planning.request import Request, draft
from launcher.planning.settings import parse_change
from launcher.preflight import access, cost, machine
from launcher.runfolder.plan import from_json, to_json
from launcher.ui import console

from .hostile import NAMES, as_json, mutated, odd, spliced, trials, written
from .outcome import only_below, said

ROOT = Path(__file__).parent.parent.parent
TOY = ROOT / "tests/toy"
RECIPE, SIZE, JOB = (
    yaml.safe_load((TOY / name).read_text())
    for name in ("recipes/toy/recipe.yaml", "recipes/toy/sizes/tiny.yaml", "jobs/toy-tiny.yaml")
)
RECIPE |= {
    "packages": {"pip": "1"},
    "sources": {"one": {"git": "https://example.org/a.git", "ref": "main", "package": "a"}},
    "models": {"base": {"repo": "a/b", "parameters": 1e9, "shape": dict.fromkeys(("layers", "hidden"), 2)}},
    "secrets": {"HF_TOKEN": False},
}
RECIPE["models"]["base"]["shape"] |= dict.fromkeys(("intermediate", "vocabulary", "attention", "keys"), 2)
RECIPE["stages"]["sum"] |= {"model": "base", "source": "one", "grace": 30}
RECIPE["stages"]["sum"]["disk"] = {"model": "base", "checkpoint": 14, "kept": "save_every", "out": 2}
SIZE |= {"settings": {"batch": 4}, "stages": {"again": {"epochs": 3, "settings": {"start": 1}}}}
JOB["resources"] |= {"accelerators": {"H100-SXM": 8, "A10": 1}, "disk_size": 100, "any_of": [{"use_spot": False}]}
JOB["num_nodes"] = 1
LOCK = {"models": {"a/b@main": "0" * 40}, "sources": {"https://example.org/a.git@main": "1" * 40}}
SITE = {
    "runs": "runs",
    "store": "store",
    "registry": "ghcr.io/acme",
    "registry_login": {"username": "me", "password": "env:GHCR"},
    "secrets": {"HF_TOKEN": "file:~/.token"},
    "local": {"python": "/usr/bin/python3"},
    "docker": {"memory": "4GiB", "cpus": 2, "offline": True},
    "sky": {"start_minutes": 10, "idle_minutes": 5},
    "slurm": {"host": "login", "work": "runs", "partition": "gpu", "time": "2:00:00", "options": {"mem": "100G"}},
    "budget": {"max_cost": 10, "max_hours": 2.5},
    "bucket": {"url": "s3://a/b", "endpoint": "https://example.org", "region": "eu"},
}
SITE["slurm"] |= {"modules": ["a"], "environment": {"A": "b"}, "stages": {"sum": {"gres": "gpu:1"}}, "ahead": 60}
CATALOGS = {
    "runpod": Catalog("runpod", (Kind("1x", "H100-SXM", 8, 128, 1000, 20.0, ("US",)), Kind("c", "", 0, 4, 8, 0.1, ()))),
    "lambda": Catalog("lambda", (Kind("gpu_1x_a10", "A10", 1, 30, 200, 0.8, ("us-east-1",)),)),
}
FILES = {
    "recipes/toy/recipe.yaml": RECIPE,
    "recipes/toy/sizes/tiny.yaml": SIZE,
    "jobs/toy-tiny.yaml": JOB,
    "recipes/toy/pins.lock.json": LOCK,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The toy with some of everything in its files; folders around it that nothing may write to."""
    root = tmp_path_factory.mktemp("outer") / "a/project"
    shutil.copytree(TOY, root, ignore=shutil.ignore_patterns("__pycache__", "runs", "common"))
    put(root, {})
    assert said(plan_all, root) is None
    return root


@pytest.fixture(autouse=True)
def here(project, monkeypatch):
    monkeypatch.chdir(project)


def put(root, texts):
    for name, value in FILES.items():
        (root / name).write_bytes(written(texts.get(name, as_json(value))))


def plan_all(root):
    """Everything that is done with a recipe's files before a machine is asked for, but for programs that are run."""
    for cloud in ("local", "runpod,lambda", "slurm"):
        given = draft(Request("toy-tiny", cloud), root, SiteFile())
        text = to_json(given.plan)
        assert to_json(from_json(text)) == text
        script(given.plan)
        console.show_plan(given.plan, [access.pins(given.plan, True), access.secrets(given.plan, SiteFile(), {})])
        if given.job is None:
            continue
        clouds = given.plan.machine.cloud.split(",")
        kinds = machine.kinds_of(given.plan.machine.accelerators, given.plan.machine.nodes)
        assert all(kind.gpus > 0 for kind in kinds)
        offers(given.job, clouds, CATALOGS), nearest(given.job, clouds, CATALOGS)
        machine.kernels(given.plan, True, []), machine.gpus(given.plan, [])
        document = load(given.job.path)
        if cloud == "slurm":
            site = SiteFile.model_validate(SITE).slurm
            for group in groups.job_groups(given.plan, site):
                batch_script.script(given.plan, group, site, "job")
            allocation_task(given.plan, document, site)
        else:
            cost.price(given.plan, given.job, CATALOGS)
            cost.features(document, "toy-tiny.yaml", clouds)
            run_task(given.plan, document, "word")
            machine_task(given.plan, document)


@trials(30)
@given(data=st.data())
def test_a_recipe_s_files_are_planned_or_refused_and_planning_writes_nothing(project, data):
    name = data.draw(st.sampled_from([*FILES, *list(FILES)[:1] * 3]))
    text = as_json(data.draw(mutated(FILES[name])))
    put(project, {name: text})
    with only_below(project / "nowhere", project.parent.parent):
        said(plan_all, project)


@trials(30)
@given(data=st.data())
def test_a_text_that_is_hardly_yaml_is_read_or_refused(project, data):
    name = data.draw(st.sampled_from([file for file in FILES if file.endswith("yaml")]))
    shown = yaml.safe_dump(FILES[name], allow_unicode=True, sort_keys=False)
    put(project, {name: data.draw(spliced(shown))})
    said(plan_all, project)


@trials(60)
@given(site=mutated(SITE) | spliced(yaml.safe_dump(SITE)))
def test_a_site_file_is_read_or_refused_and_shows_no_value_of_a_secret(project, site):
    path = project / "site.yaml"
    path.write_bytes(written(site if isinstance(site, str) else as_json(site)))

    def use():
        found = read_site(path)
        references("HF_TOKEN", found, {})
        if found.slurm:
            found.slurm.needs("sum")

    said(use)
    path.unlink()


@trials(30)
@given(
    words=st.lists(st.tuples(st.sampled_from((*NAMES, "batch", "sum.epochs", "again.start", "pause")), odd), max_size=3)
)
def test_what_the_command_line_sets_is_planned_or_refused(project, words):
    put(project, {})
    changes = [f"{name}={as_json(value) if not isinstance(value, str) else value}" for name, value in words]
    said(lambda: draft(Request("toy-tiny", changes=changes), project, SiteFile()))


@trials(25)
@given(
    field=st.sampled_from(("recipe", "cloud", "run", "stages", "data", "gpus", "max_cost", "max_hours")),
    value=st.sampled_from(NAMES) | st.text(max_size=8),
)
def test_the_words_of_a_launch_are_planned_or_refused(project, field, value):
    put(project, {})
    words = {"recipe": "toy-tiny", field: value if field not in ("data", "max_cost", "max_hours") else [value]}
    if field.startswith("max_"):
        words[field] = math.nan if len(value) % 2 else -1.0
    with only_below(project / "nowhere", project.parent.parent):
        said(lambda: draft(Request(**words), project, SiteFile()))


LETTERS = "abcdefgh"
BOMBS = {
    "sequences": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in itertools.pairwise(LETTERS)),
    "merges": "a: &a {x: 1}\n"
    + "".join(
        f"{key}: &{key} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, key in itertools.pairwise(LETTERS)
    ),
    "itself": "name: &a [*a]\n",
    "deep": "[" * 900_000,
    "deep blocks": "- " * 400_000,
    "deep maps": "{a: " * 250_000,
    "a long number": "name: " + "9" * 900_000,
    "a number by sixties": "name: 1" + ":59" * 250_000,
    "long": "# " + "x" * (5 << 20),
    "many": "name: [" + "1, " * 150_000 + "]",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("kind", [RecipeFile, SizeFile, SiteFile])
def test_a_bomb_is_a_sentence_soon(tmp_path, refusal, bomb, kind):
    from launcher.config.yaml import read

    path = tmp_path / "a.yaml"
    path.write_text(BOMBS[bomb])
    assert len(refusal(read, path, kind)) < 2000


SENTENCES = {
    "[" * 70: "FILE`, line 1: there are more than 64 values inside one another",
    "a: &a [*a]": "FILE`, line 1: an alias stands for what it is inside of",
    BOMBS["sequences"]: "FILE`, line 1: its aliases stand for more than 100,000 values",
    "a: " + "9" * 200: "FILE`, line 1: a number has 200 characters",
    "a: 0x_": "FILE`, line 1: `0x_` is not a valid int",
    "a: !!bool abc": "FILE`, line 1: `abc` is not a valid bool",
    "x" * ((1 << 20) + 1): "FILE`: it has 1,048,577 characters, more than the 1,048,576 that are read",
}


@pytest.mark.parametrize(("text", "error"), SENTENCES.items(), ids=[text[:14] for text in SENTENCES])
def test_what_is_too_much_or_no_value_is_said_with_its_line(tmp_path, refusal, text, error):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    found = refusal(load, path).replace(str(path), "FILE")
    assert found == f"error: `{error}\n\nhint: correct the YAML there"


def test_half_a_surrogate_pair_on_the_command_line_is_no_value(refusal):
    assert refusal(parse_change, "a=\udcff").startswith("error: `--set a=\udcff`: `\udcff` is not valid YAML\n")


def test_every_document_of_the_project_is_read(project):
    for path in [*ROOT.glob("recipes/*/recipe.yaml"), *ROOT.glob("recipes/*/sizes/*.yaml"), *ROOT.glob("jobs/*.yaml")]:
        assert isinstance(load(path), dict), path
    assert json.loads(as_json(RECIPE)) == RECIPE
