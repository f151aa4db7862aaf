"""A run's jobs on Slurm: their scripts, and the shell that submits, stops and ends them."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from launcher.backends.slurm import batch_script
from launcher.backends.slurm.groups import job_groups, job_name
from launcher.config.slurm import SlurmSite
from launcher.runfolder.files import write_json
from launcher.runfolder.plan import Plan


def write(plan: Plan, site: SlurmSite, folder: Path) -> tuple[str, ...]:
    """The run folder holds the jobs' scripts and their names, which are new; the names, in order."""
    mark = secrets.token_hex(3)
    groups = job_groups(plan, site)
    jobs = tuple(job_name(plan, group, mark) for group in groups)
    scripts = {job: batch_script.script(plan, group, site, job) for job, group in zip(jobs, groups, strict=True)}
    (folder / "slurm").mkdir(exist_ok=True)
    for name, text in {**scripts, "submit": batch_script.submission(jobs)}.items():
        (folder / f"slurm/{name}.sh").write_text(text, encoding="utf-8")
    write_json(folder / "slurm.json", {"jobs": list(jobs), "fetched": site.host is None})
    return jobs


def files(jobs: Sequence[str]) -> list[str]:
    """What the jobs need of the run folder."""
    return [f"slurm/{name}.sh" for name in (*jobs, "submit")]


SUBMIT = 'bash "$1/slurm/submit.sh"'
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
