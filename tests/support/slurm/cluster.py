"""A real Slurm for tests, on this machine alone: two nodes, partitions, GPUs that are names, accounting, a login node
behind ssh, and an ordinary user whose jobs run there. Everything is Debian's; its files are in one folder."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.apt import SLURM, SYSTEM, install, without
from tests.support.patience import until
from tests.support.slurm import conf

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@dataclass(frozen=True)
class Cluster:
    """A Slurm that answers. `home` is the user's, seen by the login node and by every node."""

    folder: Path
    ports: dict[str, int]
    user: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def host(self) -> str:
        """The name in `ssh_config`."""
        return "loop"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh/config"

    @property
    def env(self) -> dict[str, str]:
        """What a shell on the login node has."""
        who = {"HOME": str(self.home), "USER": self.user, "LOGNAME": self.user, "LANG": "C.UTF-8"}
        return {"PATH": SYSTEM, "SLURM_CONF": str(self.folder / "slurm.conf"), **who}

    def as_user(self, *argv: str) -> list[str]:
        """A command as the user's own."""
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", "--", *argv]

    def said(self, *argv: str) -> str:
        """What a command of the user's says on the login node."""
        return said(self.as_user(*argv), env=self.env, cwd=self.home)

    def root(self, *argv: str) -> str:
        """What a command of the administrator's says; a busy controller is asked again."""
        for _ in range(3):
            done = subprocess.run(argv, env=self.env, capture_output=True, text=True, errors="replace")
            if "socket error" not in done.stderr:
                break
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """Job id -> state, of all that the controller remembers."""
        lines = self.root("squeue", "--all", "--states=all", "--noheader", "--format=%A %T").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    def jobs_of(self, run_folder: Path) -> dict[str, str]:
        """Job id -> state, of one run: the controller remembers those of other tests too."""
        own = [path.read_text().strip() for path in (run_folder / "slurm").glob("*.job")]
        return {job: state for job, state in self.jobs().items() if job in own}

    def hurry(self, job: str) -> bool:
        """Whether a requeued job runs again. It need not wait for Slurm's two minutes, but a second is what they are
        for: a node refuses a job that is as old as its last kill."""
        facts = dict(re.findall(r"(JobState|EligibleTime)=(\S+)", self.root("scontrol", "show", "job", job)))
        with contextlib.suppress(ValueError, AssertionError):  # unknown yet; it begins at this moment
            if datetime.fromisoformat(facts["EligibleTime"]) > datetime.now() + timedelta(seconds=10):
                self.root("scontrol", "update", f"jobid={job}", "starttime=now+3")
        return facts["JobState"] in ("RUNNING", "COMPLETED")

    def requeued(self) -> list[str]:
        """The jobs that wait to be started again."""
        lines = self.root("scontrol", "show", "job", "--oneliner").splitlines()
        again = [line for line in lines if "JobState=PENDING " in line and " Restarts=0 " not in line]
        return [line.partition(" ")[0].removeprefix("JobId=") for line in again]

    def cancel_all(self) -> None:
        """No job waits or runs, and every node is up."""
        self.root("scancel", "--user", self.user)
        for node in conf.NODES:
            with contextlib.suppress(AssertionError):
                self.root("scontrol", "update", f"nodename={node}", "state=resume")
        self.wait_for_nobody()
        until(lambda: set(self.root("sinfo", "--noheader", "--Node", "--format=%T").split()) == {"idle"}, "idle nodes")

    def wait_for_nobody(self) -> None:
        """No job is in the queue any more, not even one that is completing."""
        until(lambda: not self.root("squeue", "--all", "--noheader"), "an empty queue")

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """No controller answers for the length of the block."""
        process = int((self.folder / "slurmctld.pid").read_text())
        os.kill(process, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{process}").exists(), "the controller's end")
        try:
            yield
        finally:
            said(["slurmctld"], env=self.env)
            until(lambda: _works(["scontrol", "ping"], self.env), "the controller")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Slurm that answers, until the tests are over."""
    if os.geteuid():
        without("a Slurm of the tests' own needs root and Debian")
    install(*SLURM)
    with started() as made:
        yield made


@contextlib.contextmanager
def started() -> Iterator[Cluster]:
    """A Slurm of its own; afterwards its processes, its folder and its user are gone."""
    folder = Path(tempfile.mkdtemp(prefix="launcher-slurm-"))
    names = [*conf.NODES, "slurmctld", "slurmdbd", "mariadb", "sshd"]
    cluster = Cluster(folder, dict(zip(names, _ports(len(names)), strict=True)), f"launch{os.getpid()}")
    folder.chmod(0o755)
    children: list[subprocess.Popen[bytes]] = []
    try:
        _user(cluster)
        _files(cluster)
        children.append(_database(cluster))
        _start(cluster)
        yield cluster
    finally:
        _end(folder)
        for child in children:
            child.wait()
        subprocess.run(["userdel", "--force", cluster.user], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _user(cluster: Cluster) -> None:
    said(["useradd", "--no-create-home", "--home-dir", str(cluster.home), "--shell", "/bin/bash", cluster.user])
    said(["usermod", "--password", "*", cluster.user])  # no password, but not locked: sshd lets a key in
    cluster.home.mkdir()
    shutil.chown(cluster.home, cluster.user, cluster.user)


def _files(cluster: Cluster) -> None:
    folder, ports = cluster.folder, cluster.ports
    for name in ("munge", "state", "spool", "log", "gpus", "ssh", "data"):
        (folder / name).mkdir()
    for name, text in {
        "slurm.conf": conf.slurm(str(folder), ports),
        "slurmdbd.conf": conf.slurmdbd(str(folder), ports),
        "gres.conf": conf.gres(str(folder)),
        "cgroup.conf": conf.cgroup(),
        "sshd.conf": conf.sshd(str(folder), ports),
        "my.cnf": conf.database(str(folder), ports),
        "ssh/config": conf.ssh(str(folder), ports, cluster.user),
        "hosts": Path("/etc/hosts").read_text()
        + "".join(f"127.0.1.{11 + number} {node}\n" for number, node in enumerate(conf.NODES)),
    }.items():
        (folder / name).write_text(text)
    (folder / "slurmdbd.conf").chmod(0o600)
    (folder / "munge/key").write_bytes(os.urandom(1024))
    (folder / "munge/key").chmod(0o400)
    for path in (folder / "munge", folder / "munge/key"):
        shutil.chown(path, "munge", "munge")
    shutil.chown(folder / "data", "mysql", "mysql")
    for number in (0, 1):
        os.mknod(folder / f"gpus/nvidia{number}", 0o20666, os.makedev(1, 3))
    for name in ("key", "host"):
        said(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "ssh" / name)])
    shutil.copy(folder / "ssh/key.pub", folder / "ssh/authorized")
    (folder / "ssh/authorized").chmod(0o644)


def _start(cluster: Cluster) -> None:
    folder, env = cluster.folder, cluster.env
    munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", f"--key-file={folder}/munge/key"]
    files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    said([*munge, *[f"--{option}={folder}/munge/{name}" for option, name in files.items()]], env=env)
    said(["slurmdbd"], env=env)
    until(lambda: _works(["sacctmgr", "--noheader", "list", "cluster"], env), "slurmdbd")
    add = ["sacctmgr", "--immediate", "--quiet"]
    cluster.root(*add, "add", "cluster", "loop")
    cluster.root(*add, "add", "account", conf.ACCOUNT, "Cluster=loop")
    cluster.root(*add, "add", "qos", "one", "MaxJobsPerUser=1")
    cluster.root(*add, "add", "user", cluster.user, f"Account={conf.ACCOUNT}", "QOS=normal,one", "DefaultQOS=normal")
    said(["slurmctld"], env=env)
    for node in conf.NODES:  # each with a name and a list of hosts of its own
        view = "; ".join(
            [f"hostname {node}", f"mount --bind {folder}/hosts /etc/hosts", *_open(folder / "open" / node)]
        )
        names = f"set -e; {view}; exec slurmd -N {node}"
        said(["unshare", "--uts", "--mount", "--propagation", "private", "sh", "-c", names], env=env)
    Path("/run/sshd").mkdir(exist_ok=True)
    said([shutil.which("sshd", path=SYSTEM), "-f", f"{folder}/sshd.conf", "-E", f"{folder}/log/sshd"], env=env)
    idle = ["sinfo", "--noheader", "--Node", "--format=%t"]
    until(lambda: set(cluster.root(*idle).split()) == {"idle"}, "idle nodes")


def _open(folder: Path) -> list[str]:
    """Commands after which the tests' Python and this project can be read below folders that are closed to others."""
    required = {Path(sys.base_prefix).resolve(), ROOT}
    closed = {parent for path in required for parent in path.parents if not parent.stat().st_mode & 0o001}
    inside = [path for path in sorted(required) if closed & set(path.parents)]
    kept = {path: folder / str(number) for number, path in enumerate(inside)}
    outermost = [path for path in sorted(closed) if not closed & set(path.parents)]
    return [
        *(f"mkdir -p {keep}; mount --bind {path} {keep}" for path, keep in kept.items()),
        *(f"mount -t tmpfs -o mode=755 none {path}" for path in outermost),
        *(f"mkdir -p {path}; mount --bind {keep} {path}" for path, keep in kept.items()),
    ]


def _database(cluster: Cluster) -> "subprocess.Popen[bytes]":
    """The accounting's database answers."""
    folder = cluster.folder
    config, quiet = f"--defaults-file={folder}/my.cnf", ["--skip-test-db", "--auth-root-authentication-method=normal"]
    said(["mariadb-install-db", config, "--user=mysql", *quiet], env=cluster.env)
    with open(folder / "log/mariadbd", "wb") as log:
        argv = ["mariadbd", config, "--user=mysql"]
        server = subprocess.Popen(argv, env=cluster.env, stdout=log, stderr=log, start_new_session=True)
    client = ["mariadb", config, f"--socket={folder}/data/socket", "--user=root", "--batch"]
    until(lambda: _works([*client, "--execute", "select 1"], cluster.env), "the database")
    user = "create user slurm@'%' identified by 'slurm'; create database slurm; grant all on slurm.* to slurm@'%'"
    said([*client, "--execute", user], env=cluster.env)
    return server


def _end(folder: Path) -> None:
    """What names the folder in its command line or environment, or belongs to its user, has ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in _working_in(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        end = time.monotonic() + 3
        while _working_in(folder) and time.monotonic() < end:
            time.sleep(0.05)


def _working_in(folder: Path) -> list[int]:
    processes = []
    owner = (folder / "home").stat().st_uid if (folder / "home").exists() else 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            state = (process / "stat").read_bytes().rpartition(b")")[2].split()[0]
            ours = str(folder).encode() in named or (process.stat().st_uid == owner and owner)
            if ours and int(process.name) != os.getpid() and state != b"Z":
                processes.append(int(process.name))
    return processes


def _ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]


def _works(argv: list[str], env: dict[str, str]) -> bool:
    return subprocess.run(argv, env=env, capture_output=True).returncode == 0


def said(argv, **options) -> str:
    """What a command says; it has to succeed."""
    out = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(argv, text=True, errors="replace", **{**out, **options})
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout
