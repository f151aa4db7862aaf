"""The same by the real command: its exit code, its words, its memory and time."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.runfolder.plan import to_json
from tests.launcher.conftest import environment, finished_runs, processes, toy

from .hostile import NAMES, as_json, mutated, spliced, trials, written
from .test_documents import BOMBS, TOY

__all__ = ["environment", "finished_runs", "processes", "toy"]

RECIPE = (TOY / "recipes/toy/recipe.yaml").read_text()
ROOM, SECONDS = 1 << 30, 30
"""Bytes of address space, and seconds of a core, that a command may take to refuse a file."""


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def refuses(done, *codes):
    assert done.returncode in codes, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    if done.returncode:
        assert done.stderr.startswith("error: ") and "\n\nhint: " in done.stderr, done.stderr


def run(toy, *words):
    argv = [sys.executable, "-m", "launcher", *words]
    return subprocess.run(
        argv, cwd=toy.root, env=toy.env, capture_output=True, text=True, errors="replace", preexec_fn=limited
    )


@pytest.mark.parametrize("bomb", ["merges", "deep"])
@pytest.mark.parametrize("file", ["site.yaml", "recipe.yaml"])
def test_a_bomb_of_yaml_ends_with_2_in_little_room(toy, file, bomb):
    site = Path(toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
    (site if file == "site.yaml" else toy.recipe).write_text(BOMBS[bomb])
    done = run(toy, "plan", "toy-tiny")
    refuses(done, 2)
    assert len(done.stderr) < 2000


@trials(3, deadline=None)
@given(text=spliced(RECIPE), word=st.none() | st.sampled_from([name for name in NAMES if "\0" not in name]))
def test_a_recipe_or_a_word_is_planned_or_refused_with_2(toy, text, word):
    toy.recipe.write_bytes(written(RECIPE if word else text))
    refuses(run(toy, "plan", "--run", "a", "--", (word or "toy-tiny").encode(errors="surrogatepass")), 0, 2)


DEEP = "[" * 200_000
DAMAGED = {
    "a plan that is none": {"plan.json": DEEP},
    "lines and proofs that are none": {
        "events.jsonl": f'{{"event": "run.ended"}}\n{{"event": "run.started", "time": "x"}}\n{DEEP}\n',
        "stages/sum/done.json": '{"files": 3, "metrics": []}',
        "manifest.json": '{"export": []}',
    },
    "a name that leads elsewhere": {
        "manifest.json": '{"export": {"../../planted": {"bytes": 1, "sha256": "' + "0" * 64 + '"}}}'
    },
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_run_is_a_sentence_for_every_command(toy, kind):
    toy.finish()
    for name, text in DAMAGED[kind].items():
        (toy.folder().path / name).write_text(text)
    for words in (["status"], ["report"], ["pull"]):
        refuses(run(toy, *words), 0, 2, 3)
    assert not list(toy.root.rglob("planted"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (DEEP, "it is nested too deeply"),
        (
            as_json({"format": 1, "run": "a", "recipe": "b", "stages": [], "export": "c", "code": {"tree": ""}}),
            "it exports `c`",
        ),
    ],
    ids=["deep", "empty"],
)
def test_the_node_program_refuses_a_plan_with_2(toy, tmp_path, text, error):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/plan.json").write_text(text)
    argv = [sys.executable, "-m", "launcher.node", str(tmp_path / "run")]
    done = subprocess.run(argv, cwd=toy.root, env=toy.env, capture_output=True, text=True, preexec_fn=limited)
    refuses(done, 2)
    assert error in done.stderr


@trials(2, deadline=None)
@given(data=st.data())
def test_the_node_program_carries_out_no_plan_that_leads_elsewhere(toy, tmp_path_factory, data):
    plan = json.loads(to_json(toy.plan()))
    stage = data.draw(st.sampled_from(("../../planted", "/planted", "..", "a/b", "-x")))
    outer = tmp_path_factory.mktemp("outer")
    folder = outer / "a/run"
    folder.mkdir(parents=True)
    plan["stages"][0]["name"] = stage
    changed = data.draw(st.just(plan) | mutated(plan, 1))
    changed = changed if isinstance(changed, dict) and changed.get("stages") else plan
    (folder / "plan.json").write_bytes(written(as_json(changed)))
    argv = [sys.executable, "-m", "launcher.node", str(folder), "--code", str(toy.root)]
    done = subprocess.run(argv, cwd=toy.root, env=toy.env, capture_output=True, text=True, preexec_fn=limited)
    assert done.returncode in (2, 3) and "Traceback" not in done.stderr, done.stderr
    assert {path.name for path in outer.rglob("*")} <= {"a", "run", "plan.json", "node.lock", "events.jsonl"}
