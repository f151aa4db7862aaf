"""What a run on Slurm needs before its jobs are submitted: scripts, code and secrets in the run folder."""

import base64
import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import batch, sbatch
from launcher.environment import variant
from launcher.image import NODE, node_home
from launcher.node.files import write_json
from launcher.node.folder import RunFolder
from launcher.node.records import Plan
from launcher.scheduler import SlurmSite


@dataclass(frozen=True)
class Submission:
    """The names of the jobs, in order, and what of the run folder they need."""

    jobs: tuple[str, ...]
    files: tuple[str, ...]


def write(plan: Plan, site: SlurmSite, folder: RunFolder, root: Path) -> Submission:
    """The run folder holds the jobs' scripts, the code that they run, and their names, which are new."""
    mark = secrets.token_hex(3)
    groups = sbatch.groups(plan, site)
    jobs = tuple(sbatch.job_name(plan, group, mark) for group in groups)
    scripts = {job: batch.script(plan, group, site, job) for job, group in zip(jobs, groups, strict=True)}
    place = folder.path / "slurm"
    place.mkdir(exist_ok=True)
    for name, text in {**scripts, "submit": batch.submission(jobs)}.items():
        (place / f"{name}.sh").write_text(text, encoding="utf-8")
    _copy_code(plan, root, folder.path / batch.CODE)
    write_json(folder.path / "slurm.json", {"jobs": list(jobs), "fetched": site.host is None})
    inputs = ["inputs"] if plan.inputs else []
    return Submission(jobs, ("plan.json", *(f"slurm/{name}.sh" for name in (*jobs, "submit")), batch.CODE, *inputs))


def kept_secret(given: Mapping[str, str]) -> str:
    """A script that leaves the values in a file that only the user can read, until the run's last job removes it."""
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
    return SECRETS.format(text=base64.b64encode(text.encode()).decode())


def _copy_code(plan: Plan, root: Path, target: Path) -> None:
    """`target` holds the node program and the recipe's code as they are now, and nothing else."""
    part = target.with_name(f".{target.name}.part")
    for old in (part, target):
        shutil.rmtree(old, ignore_errors=True)
    home, plain = node_home(root), shutil.ignore_patterns("__pycache__", "runs")
    for place, name in [(home, NODE), *((root, one) for one in plan.code.folders)]:
        shutil.copytree(place / name, part / name, ignore=plain)
    (part / "launcher/__init__.py").touch()
    (part / "locks").mkdir()
    for kind in ("in", "lock"):
        shutil.copy(root / f"locks/{variant(plan)}.{kind}", part / "locks")
    os.replace(part, target)


PLACE = """\
set -e
[ "$2" = yes ] || [ ! -e "$1/plan.json" ] || { echo foreign; exit 0; }
mkdir -p -- "$1/slurm"
cd -- "$1"
shift 2
for name in "$@"; do
    [ ! -e "stages/$name" ] && [ -e "stages/${name%.*}" ] || continue
    mv -- "stages/${name%.*}" "stages/$name"
    rm -f -- manifest.json
done
"""
SECRETS = """\
umask 077
base64 --decode > "$1/slurm/secrets.sh" << END
{text}
END
"""
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
DOWN = """\
rm -f -- "$1/slurm/secrets.sh"
shift
[ $# = 0 ] || scancel --quiet "$@"
"""
