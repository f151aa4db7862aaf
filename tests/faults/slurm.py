"""A Slurm cluster as a column of the matrix: another user's jobs, behind ssh; the queue carries on by itself."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from launcher.runfolder.paths import RunFolder
from tests.faults.local import HOLD, Ended, Local
from tests.faults.processes import parent
from tests.support.patience import until
from tests.support.slurm.there import SLURM, There

AHEAD = 20
SITES = {"wall-time limit": {"time": "1", "ahead": AHEAD}, "preemption": {"partition": "scrap"}}
URGENT = ("--partition=cpu", "--nodes=2", "--exclusive", "--wrap", "sleep 5", "--output=/dev/null")


@dataclass
class Slurm(Local):
    """The toy's user with an account on the cluster."""

    words: tuple[str, ...] = SLURM
    there: There = field(kw_only=True)

    @property
    def folder(self) -> RunFolder:
        return self.there.folder

    def prepare(self, row: str) -> None:
        """The site is what the row needs; the nodes' Python can be held."""
        hook = self.there.cluster.home / "hold"
        self.put(hook / "sitecustomize.py", (HOLD / "sitecustomize.py").read_text())
        self.there.site(environment={"PYTHONPATH": str(hook)}, **SITES.get(row, {}))

    def put(self, path: Path, text: str) -> None:
        if path.is_relative_to(self.there.cluster.home):
            self.there.cluster.said("mkdir", "-p", str(path.parent))
        super().put(path, text)

    def ask(self) -> None:
        self.there.cluster.said("scancel", "--signal=TERM", "--full", self.job())

    def lose_machine(self) -> None:
        """The node that the job runs on is down."""
        cluster = self.there.cluster
        node = cluster.root("squeue", "--noheader", f"--jobs={self.job()}", "--format=%N").strip()
        cluster.root("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def preempt(self) -> None:
        """A job that is more important gets all nodes."""
        self.there.cluster.said("sbatch", *URGENT)
        until(lambda: set(self.there.jobs()) & set(self.there.cluster.requeued()), "a requeued job", 150)

    def time_out(self) -> None:
        """The job has been told that its time is nearly over: that is AHEAD seconds before its end."""
        facts = self.there.cluster.root("scontrol", "show", "job", self.job())
        end = datetime.fromisoformat(re.search(r"EndTime=(\S+)", facts)[1]) - timedelta(seconds=AHEAD - 4)
        until(lambda: datetime.now() > end, "the end of its time")

    def job(self) -> str:
        """The job that runs."""
        [job] = [name for name, state in self.there.jobs().items() if state == "RUNNING"]
        return job

    def kill_all(self, process: "subprocess.Popen[str]") -> None:
        """The job's script, too."""
        os.kill(parent(self.node()), signal.SIGKILL)
        super().kill_all(process)

    def settle(self, process: "subprocess.Popen[str]") -> Ended:
        """A job that was requeued does not wait for Slurm's two minutes."""

        def over() -> bool:
            for job in self.there.cluster.requeued():
                self.there.cluster.hurry(job)
            return process.poll() is not None

        until(over, "the end of the launch", 300)
        return super().settle(process)

    def launch(self, *words: str) -> Ended:
        return self.settle(self.start(*words))

    def remains(self) -> list[str]:
        until(lambda: not self._queued(), "the end of the jobs")
        return super().remains()

    def _queued(self) -> list[str]:
        return [job for job, state in self.there.jobs().items() if state in ("PENDING", "RUNNING", "COMPLETING")]
