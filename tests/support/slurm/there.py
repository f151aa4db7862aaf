"""The toy's user with an account on the tests' Slurm."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.runfolder.paths import RunFolder
from tests.support.patience import patience
from tests.support.slurm.cluster import Cluster

SLURM = ("--cloud", "slurm")
HELD = ("--set", "sum.fault=hold@3")


@dataclass
class There:
    """A toy's user with an account on the cluster."""

    toy: object
    cluster: Cluster
    work: str

    def site(self, registry=None, **slurm):
        own = {"host": self.cluster.host, "ssh_config": str(self.cluster.ssh_config), "work": self.work}
        common = {"python": "/usr/bin/python3", "every": 1, "time": "10"}
        path = Path(self.toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
        path.write_text(json.dumps({"registry": registry, "slurm": {**own, **common, **slurm}}))

    @property
    def folder(self) -> RunFolder:
        """The run's, on the cluster."""
        return RunFolder(self.cluster.home / self.work / "toy-tiny")

    def start(self, *arguments):
        return self.toy.start("launch", "toy-tiny", *SLURM, *arguments)

    def launch(self, *arguments):
        return self.toy.launcher("launch", "toy-tiny", *SLURM, *arguments)

    def end(self, process, code=0):
        out, errors = process.communicate(timeout=patience(150))
        assert process.returncode == code, out + errors + self.logs()
        return out, errors

    def go(self, *stages):
        for stage in stages:
            work = self.folder.stage(stage).work
            self.cluster.said("mkdir", "-p", str(work))
            self.cluster.said("touch", str(work / "go"))

    def jobs(self):
        """Job number -> state, of this run's jobs."""
        return self.cluster.jobs_of(self.folder.path)

    def attempts(self):
        return {path.parent.name: int(path.read_text()) for path in sorted(self.folder.path.glob("stages/*/attempts"))}

    def total(self):
        return int((self.toy.home().export / "total.txt").read_text())

    def logs(self):
        return "".join(f"\n== {path}\n{path.read_text()}" for path in self.folder.path.glob("slurm/*.out"))


@pytest.fixture
def there(toy, cluster, tmp_path):
    remote = There(toy, cluster, f"runs/{tmp_path.name}")
    remote.site()
    yield remote
    (cluster.home / ".bashrc").unlink(missing_ok=True)
    cluster.cancel_all()


@pytest.fixture
def at_step(there, until, lines_of):
    def wait(stage, step):
        path = there.folder.stage(stage).progress
        until(
            lambda: step in [line["step"] for line in lines_of(path) if "metrics" in line],
            f"step {step} of {stage}",
            there.toy.patience,
        )

    return wait


@pytest.fixture
def hurry(there, until):
    """The only job of the run that was requeued begins at once, not after Slurm's two minutes."""

    def now():
        mine = there.jobs()
        [job] = until(lambda: [job_id for job_id in there.cluster.requeued() if job_id in mine], "a requeued job", 100)
        until(lambda: there.cluster.hurry(job), "its new start")

    return now
