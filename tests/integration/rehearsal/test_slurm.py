"""The whole recipe as jobs of a real Slurm, each kind of stage in a partition of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.runfolder.paths import RunFolder
from tests.support.patience import patience
from tests.support.slurm.sky import sky

from .conftest import LAUNCHER, PATIENCE, ROOT, RUN, make_place
from .test_kills import EXACT, reached

FEW = "--set warmup.epochs=0.5 --set adversarial.epochs=0.34"
"""3 and 2 steps: these tests are not about learning."""
LONG = 40
"""Epochs of DPO that take more than the 30 s in which Slurm notices a new limit."""
AHEAD = 120
"""Seconds before a job's limit at which it is asked to checkpoint."""


def site(cluster, folder, **more):
    """The cluster's section of a site file in `folder`."""
    slurm = {
        "host": cluster.host,
        "ssh_config": str(cluster.ssh_config),
        "work": "runs",
        "python": str(ROOT / ".venv-cpu/bin/python"),
        "environment": {"HF_HUB_OFFLINE": "1"},
        "every": 1,
        "time": "1:00:00",
        **more,
    }
    (folder / "config/launcher/site.yaml").write_text(json.dumps({"runs": f"{folder}/runs", "slurm": slurm}))


@pytest.fixture
def place(cluster, tmp_path):
    place = make_place(tmp_path)
    site(cluster, tmp_path, stages={"convert": {"partition": "gpu", "gres": "gpu:1"}})
    yield place
    cluster.cancel_all()


def launch(place):
    argv = [*LAUNCHER, "launch", "gad-tiny", "--cloud", "slurm", "--run", RUN]
    return subprocess.Popen(argv, cwd=ROOT, env=place.env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_on_a_cluster_an_interrupted_run_comes_to_the_same_end_as_an_undisturbed_one(finished, place, cluster):
    process = launch(place)
    place.wait(lambda: process.poll() is not None or reached(place, "adversarial", 3), 2 * PATIENCE)
    [job] = [job for job, state in cluster.jobs().items() if state == "RUNNING"]
    cluster.said("scancel", "--signal=TERM", "--full", job)
    place.wait(cluster.requeued)
    place.wait(lambda: cluster.hurry(job))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert place.done("warmup")["attempt"] == 1 and place.done("adversarial")["attempt"] == 2
    assert place.done("verify")["metrics"]["largest_difference"] == 0
    assert len(cluster.jobs_of(cluster.home / "runs" / RUN)) == 3  # before, in and after the partition of `convert`
    for name in ("warmup", "adversarial"):
        before, after = finished.steps(name), place.steps(name)
        assert after.keys() == before.keys()
        for step, metrics in before.items():
            for key in EXACT:
                if key in metrics:
                    assert after[step][key] == pytest.approx(metrics[key], rel=1e-4, abs=1e-5), (name, step, key)


@pytest.fixture
def project(cluster, tmp_path):
    """The project as somebody has it who has committed all, with its environments, and a site that is this cluster."""
    for name in ("launcher", "recipes", "jobs", "images", "locks"):
        shutil.copytree(
            ROOT / name, tmp_path / "project" / name, ignore=shutil.ignore_patterns("__pycache__", ".wheels")
        )
    shutil.copy2(ROOT / "Makefile", tmp_path / "project")
    for name in (".venv", ".venv-cpu"):
        (tmp_path / "project" / name).symlink_to(ROOT / name)
    yield make_place(tmp_path, tmp_path / "project")
    cluster.cancel_all()


def make(place, env, arguments, recipe="gad-tiny"):
    words = ["make", "launch", f"RECIPE={recipe}", "CLOUD=slurm", f"ARGS={arguments}"]
    env = {**place.env, "PYTHONPATH": str(place.root), **env}
    return subprocess.Popen(words, cwd=place.root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def comes_home(place, cluster, process, run):
    """What the launch said; its result is home and verified, and was made by the user's own jobs."""
    out, errors = process.communicate(timeout=patience(900))
    folder = cluster.home / "runs" / run
    log = (folder / "node.log").read_text() if (folder / "node.log").exists() else ""
    assert process.returncode == 0, out + errors + log
    manifest = json.loads((place.folder / "runs" / run / "manifest.json").read_text())
    assert manifest["stages"]["verify"]["metrics"]["largest_difference"] == 0
    assert "all sha256 match the manifest" in out and "loaded    27 tensors" in out
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {cluster.home.stat().st_uid} != {0}
    return out


def test_make_launch_by_sbatch(project, cluster):
    site(cluster, project.folder)
    out = comes_home(project, cluster, make(project, {}, f"{FEW} --run by-sbatch"), "by-sbatch")
    states = cluster.jobs_of(cluster.home / "runs/by-sbatch").values()
    assert "submitted " in out and states and set(states) <= {"COMPLETED", "COMPLETING"}


def test_make_launch_by_skypilot_whose_status_lists_the_run_while_it_holds_an_allocation(project, cluster, account):
    site(cluster, project.folder, via="sky")
    env = {**account, "XDG_STATE_HOME": str(project.folder / "state")}
    process = make(project, env, f"{FEW} --run by-sky")
    events = cluster.home / "runs/by-sky/events.jsonl"
    project.wait(lambda: process.poll() is not None or (events.exists() and "stage.started" in events.read_text()))
    assert process.poll() is None, "".join(process.communicate())
    assert "by-sky" in sky({**os.environ, **env}, "status").stdout
    out = comes_home(project, cluster, process, "by-sky")
    assert "machine   slurm loop, 2CPU--8GB\n" in out
    assert not cluster.root("squeue", "--noheader", "--states=PENDING,RUNNING")
    assert "by-sky" not in sky({**os.environ, **env}, "status").stdout


def test_profiles_are_made_by_jobs_that_depend_on_each_other_and_are_interrupted_in_every_way(project, cluster):
    """A signal while it writes, a requeue while it judges, a wall time that is too short for its training."""
    gpu = {"partition": "gpu", "gres": "gpu:1"}
    stages = {"generate": gpu, "tournament": gpu, "dpo": {**gpu, "time": "50:00"}}
    site(cluster, project.folder, stages=stages, ahead=AHEAD)
    folder = RunFolder(cluster.home / "runs/profiles")
    process = make(project, {}, f"--run profiles --set epochs={LONG}", "profile_dpo-tiny")

    def job_of(stage):
        """The job that runs `stage`, once it has got somewhere."""
        project.wait(lambda: process.poll() is not None or steps(folder, stage), 2 * PATIENCE)
        assert process.poll() is None, "".join(process.communicate())
        [job] = [job for job, state in cluster.jobs().items() if state == "RUNNING"]
        return job

    def begins_again(job):
        project.wait(lambda: job in cluster.requeued())
        project.wait(lambda: cluster.hurry(job))

    job = job_of("generate")
    cluster.said("scancel", "--signal=TERM", "--batch", job)
    begins_again(job)
    job = job_of("tournament")
    cluster.said("scontrol", "requeue", job)
    begins_again(job)
    job = job_of("dpo")
    minutes = int(cluster.root("squeue", "--noheader", f"--jobs={job}", "--format=%M").rpartition(":")[0])
    cluster.root("scontrol", "update", f"jobid={job}", f"timelimit={minutes + AHEAD // 60}")
    project.wait(lambda: job in cluster.requeued())
    cluster.root("scontrol", "update", f"jobid={job}", "timelimit=50")
    begins_again(job)
    out, errors = process.communicate(timeout=patience(900))
    assert process.returncode == 0, out + errors + folder.node_log.read_text()
    assert len(list(folder.path.glob("slurm/*.job"))) == 4 and "all sha256 match the manifest" in out
    attempts = {path.parent.name: int(path.read_text()) for path in folder.path.glob("stages/*/attempts")}
    assert {stage for stage, count in attempts.items() if count == 2} == {"generate", "tournament", "dpo"}
    assert sum(attempts.values()) == len(attempts) + 3
    done = json.loads(folder.manifest.read_text())["stages"]
    assert done["dpo"]["metrics"]["steps_left"] == 0 and 0 <= done["evaluate"]["metrics"]["win_rate"] <= 1


def steps(folder, stage):
    """What the stage has told of its progress."""
    progress = folder.stage(stage).progress
    return progress.read_text() if progress.exists() else ""


@pytest.mark.parametrize("via", ["sbatch", "sky"])
def test_torchrun_and_ray_meet_on_two_nodes(cluster, tmp_path, via, request):
    shutil.copytree(ROOT / "tests/support/slurm/pair", tmp_path / "project")
    shutil.copytree(ROOT / "locks", tmp_path / "project/locks")
    place = make_place(tmp_path, tmp_path / "project")
    site(cluster, tmp_path, via=via)
    own = request.getfixturevalue("account") if via == "sky" else {}
    done = subprocess.run(
        [*LAUNCHER, "launch", "pair-tiny", "--cloud", "slurm", "--run", f"pair-{via}"],
        cwd=place.root,
        env={**place.env, **own, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    folder = cluster.home / f"runs/pair-{via}"
    logs = "".join(
        path.read_text(errors="replace")[-3000:] for path in [*folder.glob("*.log"), *folder.glob("stages/*/log.txt")]
    )
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert (folder / "stages/torch/out/sum.txt").read_text() == "3 node1 node2"
    assert (folder / "stages/ray/out/nodes.txt").read_text() == "2 node1 node2"
    cluster.wait_for_nobody()
    assert [path for path in Path("/tmp").glob("ray-*") if path.owner() == cluster.user] == []


def test_verl_trains_on_two_nodes(project, cluster):
    """Each has a rank, and Ray, which Slurm's job has started, is told of a GPU that each pretends to have."""
    job = project.root / "jobs/gad-tiny.yaml"
    job.write_text(job.read_text().replace("resources:", "num_nodes: 2\nresources:", 1))
    pretended = {"HF_HUB_OFFLINE": "1", "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": 6, "GPU": 1})}
    site(cluster, project.folder, environment=pretended)
    comes_home(project, cluster, make(project, {}, f"{FEW} --run two-nodes"), "two-nodes")
    shards = (cluster.home / "runs/two-nodes/stages/adversarial").rglob("model_world_size_2_rank_*.pt")
    assert {path.stem[-1] for path in shards} == {"0", "1"}
