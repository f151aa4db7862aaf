"""What a user may overrule, and other GPUs than the job file's."""

import importlib
import inspect
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config.site import SiteFile
from launcher.preflight import runner
from launcher.preflight.finding import REFUSED, WARNING, Finding

LOOK = """
import json, sys
if json.load(open(sys.argv[1]))[0]["settings"]["batch"] == 4:
    sys.stderr.write("error: stage `sum`: `batch` is `4`\\n\\nhint: take 8\\n")
    sys.exit(2)
"""
JOB = "name: toy\nresources: {accelerators: {H100-SXM: 8}}\nrun: |\n  exec true\n"


@pytest.fixture
def checked(toy):
    (toy.root / "recipes/toy/look.py").write_text(LOOK)
    toy.change_recipe("\nstages:\n", '\nsettings_check: [python, -m, recipes.toy.look, "{request}"]\nstages:\n')
    toy.change_recipe("  sum:\n", "  sum:\n    check: count\n")
    return toy


def test_a_refusal_that_is_forced_is_a_warning_and_the_plan_tells_of_it(checked):
    refused = checked.launcher("launch", "toy-tiny", "--set", "batch=4")
    assert (refused.returncode, refused.stderr) == (2, "error: settings: stage `sum`: `batch` is `4`\n\nhint: take 8\n")
    assert not checked.folder().path.exists()
    done = checked.launcher("launch", "toy-tiny", "--set", "batch=4", "--force", "settings")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning  settings: overruled by `--force`: stage `sum`: `batch` is `4`\n" in done.stdout
    assert json.loads(checked.folder().plan.read_text())["forced"] == ["settings"]


def test_a_check_that_passes_is_not_called_overruled(checked):
    done = checked.launcher("plan", "toy-tiny", "--force", "settings")
    assert "ok       settings: checked for 1 stage\n" in done.stdout


def test_only_a_check_that_there_is_can_be_forced(checked):
    for command in ("plan", "launch"):
        done = checked.launcher(command, "toy-tiny", "--force", "seting")
        says = "error: `--force seting`: there is no check of this name\n\nhint: did you mean `settings`?\n"
        assert (done.returncode, done.stderr) == (2, says)
    assert not checked.folder().events.exists()


def moon(run):
    """Is the moon full?

    Refused when it is not."""
    return Finding("moon", REFUSED, f"no full moon for `{run}`", "wait")


def test_a_check_is_one_line_of_the_list(toy, monkeypatch):
    site = SiteFile.model_validate({"local": {"python": sys.executable}})
    new = runner.Check("moon", runner.PLAN, (runner.LOCAL,), moon, lambda it: (it.plan.run,))
    monkeypatch.setattr(runner, "CHECKS", (*runner.CHECKS, new))
    refused = Finding("moon", REFUSED, "no full moon for `toy-tiny`", "wait")
    planned = toy.planned()
    assert runner.quick(planned, toy.root, site)[-1] == refused
    assert refused in runner.thorough(planned, toy.root, site)
    forced = replace(planned, plan=replace(planned.plan, forced=("moon",)))
    assert runner.quick(forced, toy.root, site)[-1].level == WARNING
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "docs/reference")
    page = importlib.import_module("preflight").text()
    section = "## moon\n\nIs the moon full? Refused when it is not.\n\nBy `plan` and `launch`, for runs on local.\n\n"
    assert section + "- refused: no full moon for `…`<br>hint: wait" in page


def test_every_finding_has_the_name_of_a_check_in_the_list():
    for check in runner.CHECKS:
        source = Path(inspect.getfile(check.function)).read_text()
        assert re.search(rf'Finding\(\s*"{check.name}"', source), check.name
        assert check.when in (runner.PLAN, runner.LAUNCH) and set(check.where) <= set(runner.EVERYWHERE)


def machine(toy, *words):
    done = toy.launcher("plan", "toy-tiny", "--cloud", "docker", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["machine"]


def test_other_gpus_take_the_place_of_the_job_file_s(toy):
    (toy.root / "jobs/toy-tiny.yaml").write_text(JOB)
    assert machine(toy)["accelerators"] == ["H100-SXM:8"]
    assert machine(toy, "--gpus", "A6000,H200-SXM:4")["accelerators"] == ["A6000:1", "H200-SXM:4"]


@pytest.mark.parametrize("word", ["H100:x", "H100:0", "", "H 100:1", "H100:1;ls"])
def test_gpus_that_are_no_name_and_count_are_refused(toy, word):
    done = toy.launcher("plan", "toy-tiny", "--cloud", "docker", "--gpus", word)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: `--gpus {word}`: `")
    assert done.stderr.endswith("` must look like H100:2\n\nhint: for example `--gpus H100-SXM:8,H200-SXM:4`\n")
