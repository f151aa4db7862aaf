"""A run folder on the storage that the login and compute nodes of a cluster share."""

import base64
import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.backends.slurm import image_file, software
from launcher.backends.slurm.login import Login, login_of
from launcher.backends.slurm.node_start import CODE, on_login
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM, node_home
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan
from launcher.transfer.mirror import Mirror

FORGET = """\
rm -f -- "$1/slurm/secrets.sh"
shift
[ $# = 0 ] || scancel --quiet "$@"
"""
SECRETS = """\
umask 077
rm -f -- "$1/slurm/secrets.sh"
base64 --decode > "$1/slurm/secrets.sh" << END
{text}
END
"""
RECORD = "slurm.json"
"""In the run folder here: the names of the run's jobs, and whether the export was fetched."""
RUNS = "stages/*/work/wandb/offline-run-*"


@dataclass(frozen=True)
class ClusterRunFolder:
    """`here` is the run folder on this machine: a local copy, or the same folder if this machine is the login node."""

    plan: Plan
    here: RunFolder
    cluster: SlurmSite

    @property
    def login(self) -> Login:
        return login_of(self.cluster)

    @property
    def there(self) -> str:
        """The run folder as the login node sees it."""
        return f"{self.cluster.folder}/{self.here.path.name}" if self.cluster.host else str(self.here.path)

    @property
    def mirror(self) -> Mirror | None:
        """What copies the run folder here; None if this machine is the login node."""
        remote = self.login.remote
        return Mirror(self.plan, remote, self.there, self.here, lasting=True) if remote else None

    @contextlib.contextmanager
    def folder_lock(self) -> Iterator[None]:
        """While the block lasts, no other launcher here submits this run."""
        with open(self.here.path / ".submitting", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def create(self) -> str:
        """Makes the run folder there and returns its absolute path. Results that a redo has renamed here are renamed
        there. Raises LaunchError if a run is there that is not known here."""
        renamed = [path.name for path in self.here.path.glob("stages/*.*")]
        known = "yes" if (self.here.path / RECORD).exists() or not self.cluster.host else "no"
        answer = self.login.run(CREATE, self.there, known, *renamed).strip()
        if answer == "foreign":
            raise LaunchError(
                f"`{self.cluster.host}` has a run `{self.plan.run}` in `{self.cluster.folder}` that was not launched "
                "here",
                "`--run NAME` starts another run",
            )
        return answer

    def send(self, names: Sequence[str], root: Path) -> None:
        """Sends these files of the run folder, the plan, its inputs, and the code below `root` as it is now."""
        code = [] if self.plan.image else [CODE]
        if code:
            _copy_code(self.plan, root, self.here.path / CODE)
        inputs = ["inputs"] if self.plan.inputs else []
        self.login.send(self.here.path, ["plan.json", *names, *code, *inputs], self.there)

    def prepare_software(self, show: Callable[[str], None]) -> None:
        """Makes the environment, or imports the image, unless it is there."""
        if self.cluster.python:
            return
        runs = self.there.rpartition("/")[0]
        if image := self.plan.image:
            file = f"{runs}/{image_file.path_of(image, self.cluster.software)}"
            if not self.login.run(image_file.LOOK, file):
                show(f"importing {image_file.reference(image)} to {file}, once; this takes minutes")
                address = image_file.address(image, self.cluster.software)
                self.login.run(image_file.IMPORT, file, address, self.cluster.software, timeout=7200)
            return
        environment = software.path_of(self.plan)
        if not self.login.run(software.LOOK, f"{runs}/{environment}"):
            path = f"{runs}/{environment}"
            show(f"making    the environment {path}, once for all runs with these packages; this takes minutes")
            lock = f"{self.here.path.name}/{CODE}/locks/{software.variant(self.plan)}"
            index = self.cluster.torch_index or ""
            self.login.run(software.MAKE, runs, environment, lock, self.cluster.interpreter, index, timeout=3600)

    @contextlib.contextmanager
    def secrets(self, of_run: Mapping[str, str]) -> Iterator[None]:
        """Writes the values into a file that only the user can read. The run's last job removes it; if the block fails,
        there will be no job, and it is removed at once."""
        if not of_run:
            yield
            return
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in of_run.items())
        self.login.run(SECRETS.format(text=base64.b64encode(text.encode()).decode()), self.there)
        try:
            yield
        except BaseException:
            with contextlib.suppress(LaunchError):  # the problem of the block is the one to report
                self.forget()
            raise

    def forget(self, *jobs: str) -> None:
        """Removes the secrets, and cancels these jobs."""
        self.login.run(FORGET, self.there, *jobs)

    def run_login_stages(self, show: Callable[[str], None]) -> None:
        """Runs the stages that site.yaml gives to the login node. Raises LaunchError if one fails."""
        names = [stage.name for stage in self.plan.stages if stage.name in self.cluster.login]
        if names:
            show(f"on the login node: {', '.join(names)}")
            self.login.run(on_login(self.plan, names, self.cluster), self.there, timeout=86400)

    def fetch(self) -> None:
        """Copies the export of the finished run here, and the offline runs of Weights & Biases."""
        mirror = self.mirror
        if mirror and not mirror.has_export():
            done_records = ["--include=/stages/", "--include=/stages/*/", "--include=/stages/*/done.json"]
            offline = ["--include=/stages/*/work/", "--include=/stages/*/work/wandb/***", "--exclude=*"]
            mirror.remote.fetch(f"{mirror.there}/", self.here.path, *done_records, *offline)
            mirror.copy_export()


def _copy_code(plan: Plan, root: Path, target: Path) -> None:
    """Makes `target` a folder with the node program and the recipe's code as they are now."""
    part = target.with_name(f".{target.name}.part")
    for old in (part, target):
        shutil.rmtree(old, ignore_errors=True)
    program, ignored = node_home(root), shutil.ignore_patterns("__pycache__", "runs")
    for source, names in ((program, PROGRAM), (root, plan.code.folders)):
        for name in names:
            shutil.copytree(source / name, part / name, ignore=ignored)
    (part / "launcher/__init__.py").touch()
    (part / "locks").mkdir()
    for kind in ("in", "lock"):
        shutil.copy(root / f"locks/{software.variant(plan)}.{kind}", part / "locks")
    os.replace(part, target)


CREATE = """\
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
pwd
"""


def sync(folder: Path, key: str | None, show: Callable[[str], None]) -> None:
    """Sends the offline runs of the stages to Weights & Biases with the key of the account; without a key it sends
    nothing. If `wandb` is not installed here, or fails, a line says which command sends them."""
    folders = [path.parent for path in sorted(folder.glob(f"{RUNS}/*.wandb"))]
    runs = [path for path in folders if not list(path.glob("*.wandb.synced"))]  # wandb's own mark
    if not runs or not key:
        return
    by_hand = f"`wandb sync {folder}/{RUNS}` sends them"
    if not shutil.which("wandb"):
        show(f"wandb     {len(runs)} offline runs; `pip install wandb`, then {by_hand}")
    else:
        env = {**os.environ, "WANDB_API_KEY": key}
        done = subprocess.run(["wandb", "sync", *map(str, runs)], env=env, capture_output=True, text=True, check=False)
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        show(f"wandb     {len(runs)} offline runs sent" if done.returncode == 0 else f"wandb     {last}; {by_hand}")
