"""The whole recipe as jobs of a real Slurm, each kind of stage in a partition of its own."""

import json
import shutil
import subprocess

import pytest

from tests.slurm.cluster import cluster

from .conftest import LAUNCHER, PATIENCE, ROOT, RUN, make_place
from .test_kills import EXACT, KILLED, reached

__all__ = ["cluster"]


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


@pytest.mark.skipif("on a cluster" not in KILLED, reason="by chance: tests/chance.py")
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
    assert len(cluster.jobs()) == 3  # before, in and after the partition of `convert`
    for name in ("warmup", "adversarial"):
        before, after = finished.steps(name), place.steps(name)
        assert after.keys() == before.keys()
        for step, metrics in before.items():
            for key in EXACT:
                if key in metrics:
                    assert after[step][key] == pytest.approx(metrics[key], rel=1e-4, abs=1e-5), (name, step, key)


def test_torchrun_and_ray_meet_on_two_nodes(cluster, tmp_path):
    shutil.copytree(ROOT / "tests/slurm/pair", tmp_path / "project")
    shutil.copytree(ROOT / "locks", tmp_path / "project/locks")
    place = make_place(tmp_path, tmp_path / "project")
    site(cluster, tmp_path)
    done = subprocess.run(
        [*LAUNCHER, "launch", "pair-tiny", "--cloud", "slurm"],
        cwd=place.root,
        env={**place.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    folder = cluster.home / "runs/pair-tiny"
    logs = "".join(
        path.read_text(errors="replace")[-3000:] for path in [*folder.glob("*.log"), *folder.glob("stages/*/log.txt")]
    )
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert (folder / "stages/torch/out/sum.txt").read_text() == "3 node1 node2"
    assert (folder / "stages/ray/out/nodes.txt").read_text() == "2 node1 node2"
