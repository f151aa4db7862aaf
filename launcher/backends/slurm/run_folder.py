"""A run folder on the storage that a cluster's login and compute nodes share, and what comes from it once."""

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
RUNS = "stages/*/work/wandb/offline-run-*"


@dataclass(frozen=True)
class ClusterRunFolder:
    """`here` is the run folder on this machine: a copy, or, on the login node itself, the one."""

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
        """What copies the run folder here; None where it is here."""
        remote = self.login.remote
        return Mirror(self.plan, remote, self.there, self.here, lasting=True) if remote else None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other launcher here submits this run meanwhile."""
        with open(self.here.path / ".submitting", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def place(self) -> str:
        """The run folder is there; its absolute path. What was set aside here is set aside there. Raises LaunchError
        when a run is there that is not known here."""
        aside = [one.name for one in self.here.path.glob("stages/*.*")]
        known = "yes" if (self.here.path / "slurm.json").exists() or not self.cluster.host else "no"
        said = self.login.said(PLACE, self.there, known, *aside).strip()
        if said == "foreign":
            raise LaunchError(
                f"`{self.cluster.host}` has a run `{self.plan.run}` in `{self.cluster.folder}` that was not launched "
                "here",
                "`--run NAME` starts another run",
            )
        return said

    def send(self, names: Sequence[str], root: Path) -> None:
        """These files of the run folder are there, and the plan, its inputs and the code below `root` as it is now."""
        code = [] if self.plan.image else [CODE]
        if code:
            _copy_code(self.plan, root, self.here.path / CODE)
        inputs = ["inputs"] if self.plan.inputs else []
        self.login.send(self.here.path, ["plan.json", *names, *code, *inputs], self.there)

    def equip(self, show: Callable[[str], None]) -> None:
        """The software that the jobs use is there."""
        if self.cluster.python:
            return
        runs = self.there.rpartition("/")[0]
        if image := self.plan.image:
            file = f"{runs}/{image_file.beside(image, self.cluster.software)}"
            if not self.login.said(image_file.LOOK, file):
                show(f"importing {image_file.reference(image)} to {file}, once; this takes minutes")
                address = image_file.address(image, self.cluster.software)
                self.login.said(image_file.IMPORT, file, address, self.cluster.software, timeout=7200)
            return
        place = software.beside(self.plan)
        if not self.login.said(software.LOOK, f"{runs}/{place}"):
            show(f"making    the environment {runs}/{place}, once for all runs with these packages; this takes minutes")
            lock = f"{self.here.path.name}/{CODE}/locks/{software.variant(self.plan)}"
            index = self.cluster.torch_index or ""
            self.login.said(software.MAKE, runs, place, lock, self.cluster.interpreter, index, timeout=3600)

    @contextlib.contextmanager
    def secret(self, given: Mapping[str, str]) -> Iterator[None]:
        """The values are in a file that only the user can read, until the run's last job removes it; or until now, when
        the block fails, for then no job will."""
        if not given:
            yield
            return
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
        self.login.said(SECRETS.format(text=base64.b64encode(text.encode()).decode()), self.there)
        try:
            yield
        except BaseException:
            with contextlib.suppress(LaunchError):
                self.forget()
            raise

    def forget(self, *jobs: str) -> None:
        """No secret is there any more, nor any of these jobs in the queue."""
        self.login.said(FORGET, self.there, *jobs)

    def carry_out(self, show: Callable[[str], None]) -> None:
        """The stages that site.yaml gives to the login node are done. Raises LaunchError when one fails."""
        names = [stage.name for stage in self.plan.stages if stage.name in self.cluster.login]
        if names:
            show(f"on the login node: {', '.join(names)}")
            self.login.said(on_login(self.plan, names, self.cluster), self.there, timeout=86400)

    def fetch(self) -> None:
        """The finished run's export is here, and what Weights & Biases kept for later."""
        mirror = self.mirror
        if mirror and not mirror.has_export():
            proofs = ["--include=/stages/", "--include=/stages/*/", "--include=/stages/*/done.json"]
            tracked = ["--include=/stages/*/work/", "--include=/stages/*/work/wandb/***", "--exclude=*"]
            mirror.remote.fetch(f"{mirror.there}/", self.here.path, *proofs, *tracked)
            mirror.copy_export()


def _copy_code(plan: Plan, root: Path, target: Path) -> None:
    """`target` holds the node program and the recipe's code as they are now, and nothing else."""
    part = target.with_name(f".{target.name}.part")
    for old in (part, target):
        shutil.rmtree(old, ignore_errors=True)
    home, plain = node_home(root), shutil.ignore_patterns("__pycache__", "runs")
    for place, name in [*((home, one) for one in PROGRAM), *((root, one) for one in plan.code.folders)]:
        shutil.copytree(place / name, part / name, ignore=plain)
    (part / "launcher/__init__.py").touch()
    (part / "locks").mkdir()
    for kind in ("in", "lock"):
        shutil.copy(root / f"locks/{software.variant(plan)}.{kind}", part / "locks")
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
pwd
"""


def sync(folder: Path, key: str | None, show: Callable[[str], None]) -> None:
    """The stages' offline runs are sent with the account's key; where `wandb` is not here, or fails, a line says what
    sends them. Without a key nobody wants them sent."""
    kept = [one.parent for one in sorted(folder.glob(f"{RUNS}/*.wandb"))]
    runs = [one for one in kept if not list(one.glob("*.wandb.synced"))]  # wandb's own mark
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
