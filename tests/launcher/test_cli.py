"""The commands that look and the ways they refuse."""

import json
import shutil
import signal
import sys

import pytest

from tests.emulator import catalog
from tests.support.patience import patience


@pytest.fixture
def finished(toy):
    toy.finish(stages="short")
    return toy


COMMANDS = [
    "plan",
    "launch",
    "rehearse",
    "status",
    "watch",
    "logs",
    "runs",
    "stop",
    "pull",
    "verify",
    "convert",
    "report",
    "compare",
]
COMMANDS += ["doctor", "lock", "image"]


def test_help_names_every_command(toy):
    done = toy.launcher("--help")
    assert done.returncode == 0
    assert [name for name in COMMANDS if f"  {name} " not in done.stdout] == []
    assert "..." not in done.stdout.partition("Commands:")[2], "each command's first sentence fits beside it"


@pytest.mark.parametrize("command", ["plan", "launch"])
def test_a_command_without_a_recipe_says_which_there_are(toy, command):
    done = toy.launcher(command)
    assert (done.returncode, done.stderr) == (2, "error: you did not name a recipe\n\nhint: choose one of toy-tiny\n")


@pytest.mark.parametrize("command", ["status", "logs", "verify"])
def test_without_a_run_there_is_nothing_to_look_at(toy, command):
    done = toy.launcher(command)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: there is no run under `runs/.store`\n\nhint: start one with `launcher launch`\n",
    )


def test_runs_of_an_empty_folder_are_none(toy):
    done = toy.launcher("runs")
    assert (done.returncode, done.stdout.split()) == (0, ["run", "recipe", "state", "stage", "step", "age"])


def test_a_wrong_name_is_answered_with_the_right_one(finished):
    done = finished.launcher("status", "toy-tni")
    assert (done.returncode, done.stderr) == (2, "error: there is no run `toy-tni`\n\nhint: did you mean `toy-tiny`?\n")
    done = finished.launcher("plan", "toy-tni")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: there is no recipe `toy-tni` under `{finished.root / 'recipes'}`\n\nhint: did you mean `toy-tiny`?\n",
    )


def test_a_plan_does_nothing(toy):
    before = sorted(toy.root.rglob("*"))
    done = toy.launcher("plan", "toy-tiny")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[:5] == [
        "run toy-tiny   recipe toy-tiny   on local",
        "stage  steps  uses output of  main settings",
        "sum        8",
        "again     16  sum",
        "result    from stage again",
    ]
    assert "ok       inputs: train: 64 rows" in lines
    assert sorted(toy.root.rglob("*")) == before


def test_a_plan_for_rented_machines_shows_what_they_cost(toy, tmp_path):
    catalog.write(tmp_path)
    done = toy.launcher("plan", "toy-tiny", "--cloud", "runpod,lambda", "--max-cost", "1", "--max-hours", "9")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    at = lines.index("ok       price: $0.06 to $0.20 an hour; ends after 5 to 9 h at the latest, for $1.00 at most")
    assert lines[at + 1 : at + 5] == [
        "         runpod  cpu3c-2-4       2 CPUs, 4 GiB   $0.06/h  9 h, $0.54",
        "         lambda  cpu_4x_general  4 CPUs, 16 GiB  $0.20/h  5 h, $1.00",
        "refused  credentials: `~/.runpod/config.toml` does not exist",
        '         hint: make a key at console.runpod.io/user/settings, write `[default]` and `api_key = "KEY"` there, '
        "then `chmod 600 ~/.runpod/config.toml`",
    ]


def test_status_watch_and_runs_tell_how_a_run_ended(finished):
    status = finished.launcher("status")
    assert status.returncode == 0
    assert [line.split()[:3] for line in status.stdout.splitlines()][:3] == [
        ["run", "toy-tiny", "finished"],
        ["stage", "state", "step"],
        ["sum", "done", "8/8"],
    ]
    watched = finished.launcher("watch")
    assert (watched.returncode, watched.stdout.split()[:3]) == (0, ["sum", "done", "8/8"])
    assert finished.launcher("runs").stdout.splitlines()[1].split()[:3] == ["toy-tiny", "toy-tiny", "finished"]


def test_a_damaged_run_does_not_hide_the_others(toy):
    toy.finish(stages="short")
    shutil.copytree(toy.folder().path, toy.folder("broken").path)
    toy.folder("broken").plan.write_text("{")
    listed = toy.launcher("runs")
    assert listed.returncode == 0
    found = {line.split()[0]: line.split()[1:] for line in listed.stdout.splitlines()[1:]}
    assert found["broken"][0] == "damaged" and found["toy-tiny"][:2] == ["toy-tiny", "finished"]


def test_status_is_json_for_machines(finished):
    found = json.loads(finished.launcher("status", "--json").stdout)
    assert (found["run"], found["state"], found["code"]) == ("toy-tiny", "finished", None)
    assert [(stage["name"], stage["state"], stage["step"]) for stage in found["stages"]] == [("sum", "done", 8)]
    assert "marks" not in found["stages"][0]


def test_a_failed_run_s_status_says_why_and_what_helps(toy):
    toy.launcher("launch", "toy-tiny", "--set", "sum.fault=exit@2")
    done = toy.launcher("status")
    assert done.stdout.startswith("run toy-tiny  failed on local, 0s\n")
    assert done.stderr == "error: stage `sum`: the fault was asked for\n\nhint: do not ask for it\n"
    watched = toy.launcher("watch")
    assert (watched.returncode, watched.stderr) == (2, done.stderr)


def test_a_watch_follows_to_the_end_and_leaving_it_leaves_the_run_alone(toy, until):
    node = toy.node("sum.fault=hold@3", stages="short")
    process = node.start()
    node.at_step("sum", 3)
    left = toy.start("watch")
    assert left.stdout.readline().startswith("sum          running")
    left.send_signal(signal.SIGINT)
    left.communicate(timeout=patience(90))
    assert left.returncode == 130
    assert process.poll() is None
    watched = toy.start("watch")
    assert watched.stdout.readline().startswith("sum          running")
    node.go("sum")
    out, _ = watched.communicate(timeout=patience(90))
    assert (watched.returncode, out.splitlines()[-1].split()[:3]) == (0, ["sum", "done", "8/8"])
    assert process.wait(timeout=patience(90)) == 0


def test_logs_are_what_the_stage_printed(finished):
    assert finished.launcher("logs").stdout == "from step 0\n"
    assert finished.launcher("logs", "toy-tiny", "--stage", "sum").stdout == "from step 0\n"
    done = finished.launcher("logs", "--stage", "smu")
    assert (done.returncode, done.stderr) == (2, "error: the run has no stage `smu`\n\nhint: did you mean `sum`?\n")


def test_a_stage_that_has_not_begun_has_no_log(toy):
    toy.node()
    for words, name in ((["logs"], "toy-tiny"), (["logs", "--stage", "again"], "again")):
        done = toy.launcher(*words)
        assert (done.returncode, done.stderr) == (
            2,
            f"error: no log of `{name}` yet\n\nhint: `launcher status` shows how far the run is\n",
        )


def test_following_a_log_goes_on_through_the_stages_to_the_end(toy):
    node = toy.node("sum.fault=hold@3")
    process = node.start()
    node.at_step("sum", 3)
    followed = toy.start("logs", "--follow")
    assert followed.stdout.readline() == "from step 0\n"
    node.go("sum")
    out, _ = followed.communicate(timeout=patience(90))
    assert (followed.returncode, out) == (0, "from step 0\n")
    assert process.wait(timeout=patience(90)) == 0


def test_what_is_not_finished_cannot_be_pulled_or_verified(toy):
    toy.node()
    done = toy.launcher("pull")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{toy.folder().path}` has no manifest: the run is not finished\n\n"
        "hint: `launcher status` shows how far it is\n",
    )
    done = toy.launcher("verify")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"error: `{toy.home().path}` has no manifest: the run is not finished",
    )


def test_a_pull_that_was_cut_off_goes_on(finished):
    name = finished.home().export / "total.txt"
    whole = name.read_bytes()
    name.unlink()
    name.with_name(".total.txt.part").write_bytes(whole[:2])
    done = finished.launcher("pull")
    assert done.returncode == 0, done.stderr
    assert name.read_bytes() == whole
    assert sorted(path.name for path in finished.home().export.iterdir()) == ["metrics.json", "total.txt"]


def test_a_rehearsal_is_a_run_of_its_own(toy):
    done = toy.launcher("rehearse", "toy-tiny", "--stages", "short")
    assert done.returncode == 0, done.stderr
    assert (toy.home("toy-rehearsal").export / "total.txt").exists()
    assert not toy.folder().path.exists()


def test_a_store_elsewhere_keeps_the_machine_s_side_there(toy, tmp_path):
    site = {"local": {"python": sys.executable}, "store": str(tmp_path / "big"), "runs": "~/mine"}
    (tmp_path / "config/launcher/site.yaml").write_text(json.dumps(site))
    done = toy.launcher("launch", "toy-tiny", "--stages", "short")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "big/toy-tiny/plan.json").exists()
    assert (tmp_path / "mine/toy-tiny/export/total.txt").exists()
    assert not (toy.root / "runs").exists()


def test_a_wrong_site_file_stops_every_command_with_a_sentence(toy, tmp_path):
    path = tmp_path / "config/launcher/site.yaml"
    path.write_text("locale: {}\n")
    for command in (["launch", "toy-tiny"], ["runs"]):
        done = toy.launcher(*command)
        assert (done.returncode, done.stderr) == (
            2,
            f"error: `{path}`: unknown key `locale`\n\nhint: did you mean `local`?\n",
        )


def test_an_image_of_a_recipe_that_does_not_exist_is_answered_with_the_right_one(toy):
    done = toy.launcher("image", "toi-tiny")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("\n\nhint: did you mean `toy-tiny`?\n")


def test_an_image_without_an_engine_is_no_traceback(toy):
    toy.env["DOCKER"] = "docker-that-is-not-here"
    done = toy.launcher("image", "toy-tiny")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: there is no command `docker-that-is-not-here`\n\n"
        "hint: install Docker, or name a client with `DOCKER=`\n"
    )


CONVERTER = """#!/bin/sh
echo "$PYTHONPATH" | cut -d: -f1
printf '%s\\n' "$@"
exit 3
"""


@pytest.fixture
def converter(toy, tmp_path):
    """A Python in site.yaml that says how it was called, and a project that has the recipes' command."""
    python = tmp_path / "a python"
    python.write_text(CONVERTER)
    python.chmod(0o755)
    (tmp_path / "config/launcher/site.yaml").write_text(json.dumps({"local": {"python": str(python)}}))
    (toy.root / "recipes/common").mkdir()
    (toy.root / "recipes/common/convert.py").touch()
    return python


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ([], []),
        (["--dtype", "keep", "--max-shard-gb", "2", "--config", "base"], None),
        (["--merge", "own"], ["--merge", "own"]),
    ],
)
def test_convert_is_the_recipes_own_command(toy, converter, options, passed):
    done = toy.launcher("convert", "odd $(x)", "out", *options)
    assert (done.returncode, done.stderr) == (3, "")
    passed = passed if passed is not None else ["--dtype", "keep", "--max-shard-gb", "2.0", "--config", "base"]
    called = [str(toy.root), "-m", "recipes.common.convert", *passed, "--", "odd $(x)", "out"]
    assert done.stdout.splitlines() == called


def test_convert_without_the_cpu_environment_says_how_to_make_it(toy, converter):
    converter.unlink()
    done = toy.launcher("convert", "checkpoint", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: `{converter}` does not exist: site.yaml names it\n\n"
        "hint: run `make setup-cpu`, or name a Python in site.yaml under `local.python`\n"
    )


def test_convert_elsewhere_says_where_the_command_is(toy):
    done = toy.launcher("convert", "checkpoint", "out")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{toy.root}/recipes`: no `common/convert.py`\n\nhint: run it in the launcher's own folder\n",
    )
