"""A Slurm cluster through sbatch: all jobs are submitted at once, each after the one before it. The laptop only asks,
and no more often than site.yaml allows, however many programs ask."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.base import Backend, End, Work, wait_until
from launcher.backends.slurm import batch_script, queue, run_folder
from launcher.backends.slurm.groups import job_groups, job_name
from launcher.backends.slurm.queue import Answer
from launcher.backends.slurm.run_folder import RECORD, ClusterRunFolder
from launcher.config.secrets import values
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite
from launcher.runfolder.files import read_json, write_json, write_text
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.ssh import Unreachable
from launcher.transfer.store import plan_of

GLANCE = 2.0
"""Seconds between two looks at the last answer; they do not ask the scheduler."""
SUBMIT = 'bash "$1/slurm/submit.sh"'


class SbatchRun(Work):
    """The jobs of a run. `show` gets the lines for the user."""

    def __init__(self, shared: ClusterRunFolder, jobs: tuple[str, ...], show: Callable[[str], None]):
        self.shared, self.jobs, self.show = shared, jobs, show
        self.answer_file = shared.here.path / "slurm" / "seen.txt"
        """The last answer, for all programs here."""
        self._last_line = ""
        self._last_look = 0.0

    def end(self) -> End | None:
        if time.monotonic() - self._last_look < GLANCE:
            return None
        self._last_look = time.monotonic()
        try:
            answer = self.look()
        except Unreachable as problem:
            self._tell(f"{problem.error}; the run continues by itself")
            return None
        end = queue.end(answer)
        self._tell((queue.waits_for(answer) if end is None else queue.says_dropped(answer)) or "")
        return end

    def stop(self, patience: float) -> bool:
        active = [job for job in self.look(anew=True).jobs if job.active and job.number]
        names_and_numbers = [text for job in active for text in (job.name, str(job.number))]
        self.shared.login.run(STOP, self.shared.there, *names_and_numbers)
        return wait_until(lambda: queue.end(self.look()) is not None, patience, GLANCE)

    def waits_for(self) -> str | None:
        return queue.waits_for(self.ask())

    def ask(self) -> Answer:
        """What is known of the jobs: the last answer, if it is young enough, or else a new one. Raises Unreachable."""
        return self._last_answer() or queue.answer(self.jobs, self._ask_scheduler())

    def look(self, anew: bool = False) -> Answer:
        """As `ask`; events and logs here are as they were on the cluster at the time of the answer. With `anew` the
        last answer does not count."""
        if not anew and (answer := self._last_answer()):
            return answer
        text = self._ask_scheduler()
        if mirror := self.shared.mirror:
            mirror.refresh()
        write_text(self.answer_file, text)
        return queue.answer(self.jobs, text)

    def _last_answer(self) -> Answer | None:
        """What the last look found, while the site's interval between two looks lasts."""
        with contextlib.suppress(OSError):  # nobody has looked yet
            age = time.time() - self.answer_file.stat().st_mtime
            if 0 <= age < self.shared.cluster.every:  # a clock that was set back makes it negative
                return queue.answer(self.jobs, self.answer_file.read_text(encoding="utf-8"))
        return None

    def _ask_scheduler(self) -> str:
        return self.shared.login.run(queue.question(self.jobs), self.shared.there)

    def _tell(self, text: str) -> None:
        if text and text != self._last_line:
            self.show(text)
        self._last_line = text


@dataclass(frozen=True)
class Slurm(Backend):
    """`root` holds recipes/; `show` gets the lines for the user."""

    root: Path
    site: SiteFile
    cluster: SlurmSite
    show: Callable[[str], None]

    def start(self, plan: Plan, folder: RunFolder) -> SbatchRun:
        shared = ClusterRunFolder(plan, folder, self.cluster)
        with shared.folder_lock():
            if work := self._refresh(folder, anew=True):
                return work
            shared.create()
            jobs = write_scripts(plan, self.cluster, folder.path)
            shared.send(files(jobs), self.root)
            shared.prepare_software(self.show)
            with shared.secrets(values(plan, self.site, os.environ)):
                shared.run_login_stages(self.show)
            self._submit(shared)
        work = SbatchRun(shared, jobs, self.show)
        numbers = [f"{job.number} ({queue.stage_of(job.name)})" for job in work.look(anew=True).jobs]
        self.show(f"submitted {', '.join(numbers)}")
        return work

    def find(self, folder: RunFolder) -> SbatchRun | None:
        """The jobs of the run, if they are not all over or the export is not here yet."""
        work = self._submission(folder)
        return work if work and _goes_on(folder, work.ask()) else None

    def refresh(self, folder: RunFolder) -> None:
        """Also submits the jobs that a submission left out because it was cut off."""
        self._refresh(folder, anew=False)

    def fetch(self, plan: Plan, folder: RunFolder) -> None:
        shared = ClusterRunFolder(plan, folder, self.cluster)
        if shared.mirror is None:
            return
        with shared.folder_lock():
            shared.fetch()
            run_folder.sync(folder.path, values(plan, self.site, os.environ).get("WANDB_API_KEY"), self.show)
            known = read_json(folder.path / RECORD)
            write_json(folder.path / RECORD, {**known, "fetched": True})

    def down(self, folder: RunFolder, why: str) -> bool:
        """Also removes the secrets from the run folder on the cluster."""
        plan, work = plan_of(folder), self._refresh(folder, anew=False)
        if work or plan.secrets:
            active = [job.number for job in work.ask().jobs if job.active and job.number] if work else []
            ClusterRunFolder(plan, folder, self.cluster).forget(*active)
        return work is not None

    def _submission(self, folder: RunFolder) -> SbatchRun | None:
        """The jobs that the last launch of the run wrote; None if there are none."""
        known = read_json(folder.path / RECORD)
        if not isinstance(known, dict):
            return None
        shared = ClusterRunFolder(plan_of(folder), folder, self.cluster)
        return SbatchRun(shared, tuple(known["jobs"]), self.show)

    def _refresh(self, folder: RunFolder, anew: bool) -> SbatchRun | None:
        """As `find`, after a refresh."""
        work = self._submission(folder)
        if work is None:
            return None
        answer = work.look(anew)
        if not _goes_on(folder, answer):
            return None
        if answer.goes_on and any(job.number is None for job in answer.jobs) and not answer.trouble:
            self._submit(work.shared)
            work.look(anew=True)
        return work

    def _submit(self, shared: ClusterRunFolder) -> None:
        shared.login.run(SUBMIT, shared.there, timeout=600)


def _goes_on(folder: RunFolder, answer: Answer) -> bool:
    """Whether a job of the run has something to do, or the export is still to be fetched."""
    fetched = (read_json(folder.path / RECORD) or {}).get("fetched")
    return answer.goes_on or (answer.finished and not fetched)


def write_scripts(plan: Plan, site: SlurmSite, folder: Path) -> tuple[str, ...]:
    """Writes the scripts of the jobs into the run folder. Returns the names of the jobs, which are new, in order."""
    mark = secrets.token_hex(3)
    groups = job_groups(plan, site)
    jobs = tuple(job_name(plan, group, mark) for group in groups)
    scripts = {job: batch_script.script(plan, group, site, job) for job, group in zip(jobs, groups, strict=True)}
    (folder / "slurm").mkdir(exist_ok=True)
    for name, text in {**scripts, "submit": batch_script.submission(jobs)}.items():
        (folder / f"slurm/{name}.sh").write_text(text, encoding="utf-8")
    write_json(folder / RECORD, {"jobs": list(jobs), "fetched": site.host is None})
    return jobs


def files(jobs: Sequence[str]) -> list[str]:
    """The files of the run folder that the jobs need."""
    return [f"slurm/{name}.sh" for name in (*jobs, "submit")]


STOP = """\
cd -- "$1"
shift
while [ $# -gt 0 ]; do
    touch "slurm/$1.stop"
    scancel --quiet --state=PENDING "$2" || true
    scancel --quiet --state=RUNNING --signal=TERM --batch "$2" || true
    shift 2
done
"""
