"""What the tests of the launcher share: the toy recipe in a folder of its own, plans made by hand, real processes."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from launcher.backends.lifecycle import prepare
from launcher.backends.local import Local
from launcher.config.site import BucketSite, SiteFile
from launcher.images.identity import PROGRAM, base_name, identity, image_of, labels
from launcher.planning.request import Request, draft
from launcher.runfolder.files import tree_hash
from launcher.runfolder.lock import holder
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Plan, Stage, to_json
from launcher.runfolder.processes import descendants, signal_quietly
from launcher.transfer.copy import pull
from launcher.transfer.ssh import Remote
from launcher.transfer.store import Store
from tests.support.apt import install
from tests.support.clouds import clouds_of_skypilot
from tests.support.engine import engine
from tests.support.objects import gate, objects, server
from tests.support.patience import patience, until

__all__ = ["clouds_of_skypilot", "engine", "gate", "objects", "server"]

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 90.0
"""Seconds to wait for something that takes a tenth of one on an idle machine."""
UNDISTURBED = 3
"""The toy's total after both stages, in sums of all its numbers: once in `sum`, twice more in `again`."""


def lines_of(path):
    """The whole JSON lines of a file; none when there is no such file."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def alive(process):
    """Whether a process id belongs to a process that is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def go(folder, *stages):
    """Stages that are held at a step (`fault=hold@N`) are held no longer."""
    for stage in stages:
        folder.stage(stage).work.mkdir(parents=True, exist_ok=True)
        (folder.stage(stage).work / "go").touch()


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture(name="lines_of")
def _lines_of():
    return lines_of


@pytest.fixture(name="alive")
def _alive():
    return alive


@pytest.fixture(scope="session")
def project():
    """The folder that holds launcher/, recipes/ and jobs/."""
    return ROOT


@pytest.fixture
def environment(tmp_path):
    """A user who never used the launcher: an empty home, a site file that names this Python, no colours."""
    noise = (
        "COLUMNS",
        "LINES",
        "FORCE_COLOR",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "TTY_COMPATIBLE",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    )
    env = {name: value for name, value in os.environ.items() if name not in noise and not name.startswith("GIT_")}
    config = tmp_path / "config" / "launcher"
    config.mkdir(parents=True)
    (config / "site.yaml").write_text(json.dumps({"local": {"python": sys.executable}}))
    return {
        **env,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(config.parent),
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }


@pytest.fixture
def processes():
    """Popen objects that are ended, with all below them, when the test is over."""
    started = []
    yield started
    for process in started:
        below = [*descendants(process.pid), process.pid] if process.poll() is None else []
        for one in below:
            signal_quietly(one, signal.SIGKILL)
        process.communicate()


@dataclass
class NodeProgram:
    """`python -m launcher.node` on a run folder."""

    folder: RunFolder
    code: Path
    env: dict
    processes: list

    def start(self, **options):
        return self.begin(["-m", "launcher.node"], options)

    def begin(self, program, options):
        argv = [sys.executable, *program, str(self.folder.path), "--code", str(self.code)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(argv, cwd=self.code, env=self.env, **{**pipes, **options})
        self.processes.append(process)
        return process

    def run(self, **options):
        """Its exit code, its output and its errors, once it has ended."""
        process = self.start(**options)
        out, errors = process.communicate(timeout=patience(PATIENCE))
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def impatient(self):
        """It ends as it would after the lock's patience, but sooner."""
        code = (
            "import sys; from launcher.node import __main__; from launcher.runfolder import lock; "
            "lock.PATIENCE = 0.3; sys.exit(__main__.main())"
        )
        process = self.begin(["-c", code], {})
        out, errors = process.communicate(timeout=patience(PATIENCE))
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def go(self, *stages):
        go(self.folder, *stages)

    def events(self, kind=None):
        return [one for one in lines_of(self.folder.events) if kind in (None, one["event"])]

    def steps(self, stage):
        """The steps that the stage reported, in their order, of every attempt."""
        return [line["step"] for line in lines_of(self.folder.stage(stage).progress) if "metrics" in line]

    def at_step(self, stage, step):
        until(lambda: step in self.steps(stage), f"step {step} of {stage}")

    def total(self, stage="again"):
        return int((self.folder.stage(stage).out / "total.txt").read_text())


@dataclass
class Toy:
    """A copy of the toy recipe, and a user in its folder."""

    root: Path
    env: dict
    processes: list
    finished: Path
    site: SiteFile = field(default_factory=SiteFile)
    patience: float = PATIENCE

    @property
    def local(self):
        return Local(self.root, sys.executable)

    @property
    def numbers(self):
        return [one["n"] for one in lines_of(self.root / "recipes/toy/numbers.jsonl")]

    @property
    def total(self):
        return UNDISTURBED * sum(self.numbers)

    @property
    def recipe(self):
        return self.root / "recipes/toy/recipe.yaml"

    def change_recipe(self, old, new):
        text = self.recipe.read_text()
        assert old in text
        self.recipe.write_text(text.replace(old, new))

    def planned(self, *changes, **request):
        return draft(Request("toy-tiny", changes=changes, **request), self.root, self.site)

    def plan(self, *changes, **request):
        return self.planned(*changes, **request).plan

    def folder(self, run="toy-tiny"):
        return Store(self.site).folder(run)

    def go(self, *stages):
        go(self.folder(), *stages)

    def home(self, run="toy-tiny"):
        return Store(self.site).results(run)

    def node(self, *changes, **request):
        """A node program for a run folder that is ready."""
        plan = self.plan(*changes, **request)
        return NodeProgram(
            prepare(plan, self.folder(plan.run), None, self.local).folder, self.root, self.env, self.processes
        )

    def finish(self, **request):
        """What `launcher launch` leaves behind; carried out once, copied from then on."""
        kept = self.finished / "-".join(["toy", *request.values()])
        if not kept.exists():
            node = self.node(**request)
            done = node.run()
            assert done.returncode == 0, done.stderr
            self.home().path.mkdir()
            pull(node.folder, self.home(), lambda _: None)
            shutil.copytree("runs", kept)
        else:
            shutil.copytree(kept, "runs")

    def start(self, *words, **options):
        argv = [sys.executable, "-m", "launcher", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(argv, cwd=self.root, env=self.env, **{**pipes, **options})
        self.processes.append(process)
        return process

    def launcher(self, *words, **options):
        """A `launcher` command, ended."""
        process = self.start(*words, **options)
        out, errors = process.communicate(timeout=patience(self.patience))
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def toy(tmp_path, monkeypatch, environment, processes, finished_runs):
    root = tmp_path / "project"
    shutil.copytree(ROOT / "tests/toy", root, ignore=shutil.ignore_patterns("__pycache__", "runs", "common"))
    monkeypatch.chdir(root)
    yield Toy(root, environment, processes, finished_runs)
    for lock in root.glob("runs/.store/*/node.lock"):  # a test that failed may have left a detached one
        if process := holder(lock):
            signal_quietly(process, signal.SIGKILL)


@pytest.fixture
def kept(toy, objects):
    """The toy of a user whose site names a bucket."""
    toy.site = SiteFile(bucket=BucketSite(url=objects.bucket.url, endpoint=objects.bucket.endpoint))
    toy.env.update(objects.keys)
    return toy


@pytest.fixture(scope="session")
def toy_image(engine, tmp_path_factory):
    """The name of the toy's image, which the engine has now."""
    root = ROOT / "tests/toy"
    base = base_name(root, "cpu")
    engine.build(root / "images/base", "-t", base, "--build-arg", f"BASE={engine.local_base}")
    return build_toy(engine, tmp_path_factory.mktemp("toy-image"), base)


def build_toy(engine, stage, base, registry=None):
    """The name of the toy's image, which the engine has now, made on `base` in the empty folder `stage`."""
    root = ROOT / "tests/toy"
    plain = shutil.ignore_patterns("__pycache__", "runs")
    for one in PROGRAM:
        shutil.copytree(ROOT / one, stage / one, ignore=plain)
    shutil.copy(ROOT / "launcher/__init__.py", stage / "launcher")
    shutil.copytree(root / "recipes", stage / "recipes", ignore=plain)
    image = image_of(root, "toy", "toy", "cpu", registry)
    baked = [word for name, value in labels(image, Code("")).items() for word in ("--label", f"{name}={value}")]
    arguments = [f"BASE={base}", f"IDENTITY={json.dumps(identity(image))}"]
    words = [word for one in arguments for word in ("--build-arg", one)]
    engine.build(stage, "-t", image.name, "-f", str(root / "images/toy/Dockerfile"), *baked, *words)
    return image.name


@pytest.fixture
def by_hand(tmp_path, environment, processes):
    """A node program for stages given as {name: text of a Python program}, which get {work}, {out} and what they need,
    or as Stage. `plan` goes to the plan."""

    def make(stages, **plan):
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        made = []
        for name, stage in stages.items():
            if not isinstance(stage, Stage):
                (code / f"{name}.py").write_text(stage)
                stage = Stage(name, ("python", f"{name}.py", "{work}", "{out}"))
            made.append(stage)
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir(exist_ok=True)
        whole = {"export": made[-1].name, "code": Code(tree_hash(code, ())), **plan}
        folder.plan.write_text(to_json(Plan("hand", "by-hand", tuple(made), **whole)))
        return NodeProgram(folder, code, environment, processes)

    return make


class SmallDisk(type(Path())):
    """A folder on a file system that can be filled to its last byte."""

    def fill(self):
        with open(self / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)

    def free(self):
        (self / "filler").unlink()


@pytest.fixture
def small(tmp_path):
    """A file system of 512 kB."""
    folder = SmallDisk(tmp_path / "small")
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a file system")
    words = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


SSH = """#!{python}
import os, pathlib, subprocess, sys
words = sys.argv[1:]
folder = pathlib.Path({folder!r})
(folder / "calls").open("a").write(repr(words) + "\\n")
if (folder / "down").exists():
    print("ssh: connect to host h port 22: Connection refused", file=sys.stderr)
    sys.exit(255)
while words[0].startswith("-"):
    words = words[2:] if words[0] in ("-F", "-i", "-l") else words[1:]
words = words[1:]
if words[:1] == ["--"]:
    words = words[1:]
os.execvp("bash", ["bash", "-c", " ".join(words)])
"""


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A machine behind a program in ssh's place, which runs what it is told on this one."""
    install("rsync")
    folder = tmp_path / "bin"
    folder.mkdir()
    ssh = folder / "ssh"
    ssh.write_text(SSH.format(python=sys.executable, folder=str(folder)))
    ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Remote("h")


@pytest.fixture
def recipe(tmp_path):
    """A recipe read from the given recipe.yaml text; `size` is the text of its only size."""
    from launcher.config.recipe import read_recipe

    def make(text, size="about: the only size", name="some"):
        folder = tmp_path / "recipes" / name
        (folder / "sizes").mkdir(parents=True, exist_ok=True)
        (folder / "recipe.yaml").write_text(text)
        (folder / "sizes" / "tiny.yaml").write_text(size)
        return read_recipe(f"{name}-tiny", tmp_path)

    return make


class Refused:
    """Runs a call that has to end in a LaunchError and returns its whole text."""

    def __call__(self, call, *args, code=2, **options):
        from launcher.errors import LaunchError

        with pytest.raises(LaunchError) as caught:
            call(*args, **options)
        assert caught.value.code == code
        return str(caught.value)


@pytest.fixture
def refusal():
    return Refused()


@pytest.fixture
def repository(tmp_path, environment, monkeypatch):
    """`git(...)` in a repository with the branches `main` and `ours`, both at `git.commit`; it lies in `git.path`."""
    for name, value in environment.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C")
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*words):
        done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    git("commit", "--quiet", "--allow-empty", "-m", "one")
    git("branch", "ours")
    git.path, git.commit = str(folder), git("rev-parse", "HEAD")
    return git
