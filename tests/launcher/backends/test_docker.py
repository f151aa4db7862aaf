"""The docker backend on a real engine, with the toy recipe in a real image."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from launcher.backends.base import End
from launcher.backends.docker import FOLDER, Docker
from launcher.backends.lifecycle import prepare
from launcher.config.site import SiteFile
from launcher.images.docker_engine import connect
from launcher.runfolder.lock import Lock
from tests.support.patience import patience

HELD = ("--set", "sum.fault=hold@3")
DOCKER = ("--cloud", "docker")


@pytest.fixture
def client(engine):
    with contextlib.closing(connect()) as found:
        yield found


@pytest.fixture
def there(toy, client, toy_image):
    """The toy's user, who has an engine with the toy's image."""
    toy.env["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    toy.image = toy_image
    yield toy
    for one in containers(toy, client):
        one.remove(force=True)


def containers(toy, client):
    return client.containers.list(all=True, filters={"label": f"{FOLDER}={toy.folder().path}"})


def attempts(toy):
    return {
        path.parent.name: int(path.read_text())
        for path in sorted((toy.root / "runs/.store/toy-tiny").glob("stages/*/attempts"))
    }


def site(toy, **docker):
    path = Path(toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
    path.write_text(json.dumps({"docker": docker}))


@pytest.fixture
def at_step(there, until, lines_of):
    def wait(stage, step):
        path = there.folder().stage(stage).progress
        until(lambda: step in [one["step"] for one in lines_of(path) if "metrics" in one], f"step {step} of {stage}")

    return wait


def test_a_launch_brings_a_verified_result_home_and_leaves_no_container(there, client):
    done = there.launcher("launch", "toy-tiny", *DOCKER)
    assert done.returncode == 0, done.stderr
    assert int((there.home().export / "total.txt").read_text()) == there.total
    assert containers(there, client) == []
    image = json.loads(there.home().manifest.read_text())["lineage"]["image"]
    assert image["digest"] == client.images.get(image["name"]).id
    assert f"image     {image['name']}\n" in done.stdout
    assert there.folder().node_log.read_text() == f"toy-tiny: done, {there.folder().manifest}\n"
    again = there.launcher("launch", "toy-tiny", *DOCKER)
    assert (again.returncode, again.stdout) == (
        0,
        f"run toy-tiny is finished: nothing to do. Its model is in {there.home().export}\n",
    )


def test_rehearse_takes_the_word_docker(there, client):
    done = there.launcher("rehearse", "toy-tiny", "--docker")
    assert done.returncode == 0, done.stderr
    assert "run toy-rehearsal   recipe toy-tiny   on docker: CPU\n" in done.stdout
    assert int((there.home("toy-rehearsal").export / "total.txt").read_text()) == there.total


def test_a_killed_container_is_an_interruption_and_the_same_command_carries_on(there, client, at_step):
    process = there.start("launch", "toy-tiny", *DOCKER, "--set", "again.fault=hold@3")
    at_step("again", 3)
    [container] = containers(there, client)
    container.kill()
    _, errors = process.communicate(timeout=patience(90))
    assert process.returncode == 33
    assert errors == "error: the node program was killed\n\nhint: launch again: the run continues\n"
    assert containers(there, client) == []
    there.go("again")
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--set", "again.fault=hold@3")
    assert done.returncode == 0, done.stderr
    assert attempts(there) == {"again": 2, "sum": 1}
    assert "from step 2\n" in there.folder().stage("again").log.read_text()
    assert int((there.home().export / "total.txt").read_text()) == there.total


def test_a_run_outlives_its_launcher_and_the_next_launch_joins_it(there, client, at_step):
    process = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    at_step("sum", 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [container] = containers(there, client)
    assert container.status == "running"
    assert "run toy-tiny  running on docker" in there.launcher("status").stdout
    joined = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    other = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    there.go("sum")
    for one in (joined, other):
        _, errors = one.communicate(timeout=patience(90))
        assert one.returncode == 0, errors
    assert attempts(there) == {"again": 1, "sum": 1}
    assert containers(there, client) == []


def test_a_run_that_ended_while_nobody_looked_is_written_down(there, client, at_step, until):
    process = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    at_step("sum", 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there.go("sum")
    until(lambda: containers(there, client)[0].status == "exited", "the run's end")
    assert "run toy-tiny  finished on docker" in there.launcher("status").stdout
    assert containers(there, client) == []
    assert there.folder().node_log.read_text() == f"toy-tiny: done, {there.folder().manifest}\n"
    done = there.launcher("launch", "toy-tiny", *DOCKER, *HELD)
    assert done.returncode == 0 and "pulled    2 files" in done.stdout
    assert attempts(there) == {"again": 1, "sum": 1}


@pytest.mark.parametrize("way", ["ctrl-c", "launcher stop", "docker stop"])
def test_stopping_writes_a_checkpoint_and_removes_the_container(there, client, at_step, way):
    process = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    at_step("sum", 3)
    if way == "ctrl-c":
        process.send_signal(signal.SIGINT)
    elif way == "launcher stop":
        assert there.launcher("stop").stdout == "toy-tiny: stopped\n"
    else:
        containers(there, client)[0].stop(timeout=60)
    process.communicate(timeout=patience(60))
    assert process.returncode == 33
    assert containers(there, client) == []
    assert json.loads((there.folder().stage("sum").work / "step_3/saved.json").read_text())[0] == 3
    there.go("sum")
    done = there.launcher("launch", "toy-tiny", *DOCKER, *HELD)
    assert done.returncode == 0, done.stderr
    assert "from step 3\n" in there.folder().stage("sum").log.read_text()
    assert int((there.home().export / "total.txt").read_text()) == there.total


def test_a_stage_s_failure_is_the_command_s(there):
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--set", "sum.fault=exit@3")
    assert (done.returncode, done.stderr) == (
        2,
        "error: stage `sum`: the fault was asked for\n\nhint: do not ask for it\n",
    )
    other = there.launcher("launch", "toy-tiny", *DOCKER, "--run", "other", "--set", "sum.fault=kill@3")
    assert other.returncode == 3 and other.stderr.startswith("error: stage `sum` "), other.stderr


def test_files_belong_to_the_user_who_called(there, monkeypatch, until):
    """Only the numbers are another user's: the interpreter that runs the tests may be closed to other users."""
    person = 12345
    plan, backend = there.plan(cloud="docker"), Docker(there.root, SiteFile())
    run = prepare(plan, there.folder(), None, backend)
    for path in [run.folder.path, *run.folder.path.rglob("*")]:
        os.chown(path, person, person)
    for parent in there.root.parents[:-1]:  # pytest's own folders are for their owner only
        if not parent.stat().st_mode & 0o1:
            os.chmod(parent, parent.stat().st_mode | 0o1)
    monkeypatch.setattr(os, "getuid", lambda: person)
    monkeypatch.setattr(os, "getgid", lambda: person)
    work = backend.start(run.plan, run.folder)
    assert until(work.end, "the run's end") == End(0), run.folder.node_log.read_text()
    made = [path for path in run.folder.path.rglob("*") if path != run.folder.node_log]
    assert run.folder.manifest in made
    for path in made:
        assert (path.stat().st_uid, path.stat().st_gid) == (person, person), path


def test_the_container_is_what_the_site_says_and_its_data_cannot_be_written(there, client, at_step):
    site(there, offline=True, memory="256MiB", cpus=0.5, shm="64MiB")
    process = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    at_step("sum", 3)
    [container] = containers(there, client)
    given = container.attrs["HostConfig"]
    assert (given["NetworkMode"], given["Memory"], given["NanoCpus"], given["ShmSize"]) == (
        "none",
        256 << 20,
        500_000_000,
        64 << 20,
    )
    assert not given["Privileged"] and not given["AutoRemove"]
    data = there.folder().inputs / "train.jsonl"
    code, said = container.exec_run(["sh", "-c", f"echo x >> '{data}'"])
    assert code and b"Read-only file system" in said
    there.go("sum")
    process.communicate(timeout=patience(60))
    assert process.returncode == 0


def test_a_container_that_runs_out_of_memory_says_so(there, client):
    site(there, memory="64MiB")
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--set", "sum.fault=eat@3")
    assert done.returncode != 0
    assert "memory" in done.stderr, done.stderr


def test_secrets_reach_the_stage_and_nothing_that_is_kept(there, client, at_step):
    there.change_recipe("image: toy", "image: toy\nsecrets: {CANARY: true}")
    there.env["CANARY"] = "canary-4711"
    process = there.start("launch", "toy-tiny", *DOCKER, *HELD)
    at_step("sum", 3)
    [container] = containers(there, client)
    assert container.exec_run(["sh", "-c", "echo $CANARY"])[1] == b"canary-4711\n"
    assert "canary-4711" not in json.dumps(container.attrs["Config"]["Cmd"]) + json.dumps(container.labels)
    there.go("sum")
    out, errors = process.communicate(timeout=patience(60))
    assert process.returncode == 0, errors
    assert "canary-4711" not in out + errors
    for path in (there.root / "runs").rglob("*"):
        assert not path.is_file() or b"canary-4711" not in path.read_bytes(), path


def test_an_image_that_is_not_there_is_refused_before_anything_is_written(there):
    (there.root / "locks/cpu.lock").write_text("other\n")
    done = there.launcher("launch", "toy-tiny", *DOCKER)
    name = there.plan(cloud="docker").image.name
    assert (done.returncode, done.stderr) == (
        2,
        f"error: image: this machine has no image `{name}`, or no Docker engine answers\n\n"
        "hint: `make image RECIPE=toy-tiny` builds it; `docker info` says whether an engine answers\n",
    )
    assert not there.folder().stage("sum").path.exists()


def test_an_image_whose_label_is_another_s_is_refused(there, client):
    (there.root / "recipes/toy/count.py").write_text("# other\n" + (there.root / "recipes/toy/count.py").read_text())
    image = there.plan(cloud="docker").image
    other = client.images.get(there.image)
    repository, _, tag = image.name.partition(":")
    other.tag(repository, tag)
    done = there.launcher("launch", "toy-tiny", *DOCKER)
    client.images.remove(image.name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: image `{image.name}`: its label `launcher.code` is `"), done.stderr


def test_code_that_is_not_committed_is_refused_or_laid_over_the_image_and_recorded(there, client):
    git = ["git", "-C", str(there.root)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True, env=there.env)
    program = there.root / "recipes/toy/count.py"
    program.write_text(program.read_text().replace("total += sum(", "total += 10 * sum("))
    refused = there.launcher("launch", "toy-tiny", *DOCKER)
    assert (refused.returncode, refused.stderr.partition("\n")[0]) == (
        2,
        "error: pins: the code has changes that are not committed",
    )
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--dirty")
    assert done.returncode == 0, done.stderr
    assert int((there.home().export / "total.txt").read_text()) == 10 * there.total
    lineage = json.loads(there.home().manifest.read_text())["lineage"]
    assert lineage["code"]["dirty"] and lineage["image"]["overlay"]


def test_a_recipe_that_wants_gpus_is_refused_where_there_are_none(there):
    if shutil.which("nvidia-smi"):
        pytest.skip("there are some")
    (there.root / "jobs/toy-tiny.yaml").write_text("resources: {accelerators: 'H100:8'}\nrun: x\n")
    done = there.launcher("plan", "toy-tiny", *DOCKER)
    assert "refused  gpus: no NVIDIA GPU found on this machine; `toy-tiny` needs H100:8\n" in done.stdout


def test_without_an_engine_a_launch_is_refused_and_a_status_still_answers(there, tmp_path):
    assert there.launcher("launch", "toy-tiny", *DOCKER).returncode == 0
    there.env["DOCKER_HOST"] = f"unix://{tmp_path / 'none.sock'}"
    assert "run toy-tiny  finished on docker" in there.launcher("status").stdout
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--run", "other")
    assert done.returncode == 2 and done.stderr.startswith("error: image: this machine has no image `launcher-toy:")


def test_a_run_folder_that_another_program_works_on_is_left_alone(there):
    assert there.launcher("launch", "toy-tiny", *DOCKER, "--set", "sum.fault=exit@3").returncode == 2
    with Lock(there.folder().lock):
        done = there.launcher("launch", "toy-tiny", *DOCKER, "--set", "sum.fault=exit@3")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: a program outside Docker works on `{there.folder().path}`\n\nhint: end it first\n",
    )


def test_a_run_of_this_machine_is_carried_on_in_an_image_of_the_same_locked_packages(there):
    assert there.launcher("launch", "toy-tiny", "--set", "sum.fault=exit@3").returncode == 2
    done = there.launcher("launch", "toy-tiny", *DOCKER, "--set", "sum.fault=exit@3")
    assert (done.returncode, "error: stage `sum`: the fault was asked for" in done.stderr) == (2, True), done.stderr
    assert there.folder().stage("sum").log.read_text().count("from step 2\n") == 1
