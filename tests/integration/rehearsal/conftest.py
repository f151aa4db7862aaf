"""One whole rehearsal of gad by the real command, made once; tests that break things work on copies of its folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine import cpu_image, engine
from tests.support.patience import until as awaited
from tests.support.shared import shared

__all__ = ["cpu_image", "engine"]
ROOT = Path(__file__).parent.parent.parent.parent
LAUNCHER = [sys.executable, "-m", "launcher"]
PATIENCE = 300
RUN = "gad-rehearsal"


@dataclass
class Place:
    """A site of its own: where runs go, and the command line on it."""

    folder: Path
    root: Path = ROOT
    """The project."""
    recipe: str = "gad-7b"

    @property
    def run(self) -> str:
        return self.recipe.partition("-")[0].replace("_", "-") + "-rehearsal"

    @property
    def store(self) -> Path:
        return self.folder / "runs/.store" / self.run

    @property
    def home(self) -> Path:
        return self.folder / "runs" / self.run

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "config"), "HF_HUB_OFFLINE": "1"}

    def launcher(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*LAUNCHER, *arguments], cwd=self.root, env=self.env, capture_output=True, text=True)

    def rehearse(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.launcher("rehearse", self.recipe, *arguments)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A rehearsal that somebody is going to disturb."""
        argv = [*LAUNCHER, "rehearse", self.recipe, *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, cwd=self.root, env=self.env, text=True, **quiet)

    def done(self, stage: str) -> dict:
        return json.loads((self.store / "stages" / stage / "done.json").read_text())

    def rows(self, stage: str, file: str) -> list[dict]:
        return [json.loads(line) for line in (self.store / "stages" / stage / "out" / file).read_text().splitlines()]

    def steps(self, stage: str) -> dict[int, dict[str, float]]:
        """Step -> metrics; of a step that was done twice, the last."""
        lines = (self.store / "stages" / stage / "work/progress.jsonl").read_text().splitlines()
        return {entry["step"]: entry["metrics"] for entry in map(json.loads, lines) if "metrics" in entry}

    def events(self, kind: str) -> list[dict]:
        lines = (self.store / "events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def wait(self, what, seconds: float = PATIENCE):
        """The first true value of `what()`."""
        return awaited(what, "what was waited for", seconds, 0.002)

    def tree(self) -> dict[int, str]:
        """Every process of this run: id -> command line."""
        commands = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                env = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"XDG_CONFIG_HOME={self.folder}/config".encode() in env and " -m launcher rehearse" not in command:
                commands[int(entry.name)] = command
        return commands

    def node(self) -> int:
        return int((self.store / "node.lock").read_text())

    def trainer(self) -> int | None:
        """The stage's own process, not one of the checks before it."""
        pids = [pid for pid, command in self.tree().items() if " -m recipes." in command and str(self.store) in command]
        return min(pids) if pids else None

    def kill_everything(self) -> None:
        for pid in self.tree():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def make_place(folder: Path, root: Path = ROOT, recipe: str = "gad-7b") -> Place:
    (folder / "config/launcher").mkdir(parents=True)
    python = ROOT / ".venv-cpu/bin/python"
    (folder / "config/launcher/site.yaml").write_text(f"runs: {folder}/runs\nlocal: {{python: {python}}}\n")
    return Place(folder, root, recipe)


def undisturbed(folder: Path, recipe: str, *arguments: str) -> Place:
    """The family's whole rehearsal, once; screen.txt is what it said. Nobody changes it."""
    place = make_place(folder, recipe=recipe)
    done = place.rehearse(*arguments)
    logs = "".join(path.read_text()[-3000:] for path in place.store.glob("stages/*/log.txt"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    (place.folder / "screen.txt").write_text(done.stdout)
    return place


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Place:
    """A rehearsal of gad that nobody disturbed. Nobody changes it."""

    def make(folder: Path) -> None:
        place = make_place(folder)
        done = place.rehearse()
        assert done.returncode == 0, done.stdout + done.stderr + _logs(place)
        (folder / "screen.txt").write_text(done.stdout)

    return Place(shared(tmp_path_factory, "gad", make))


@pytest.fixture
def until(finished, tmp_path):
    """Makes a copy of the finished rehearsal in which `stage` and what comes after it has not happened."""
    places = []

    def copy(stage: str) -> Place:
        place = make_place(tmp_path / f"place{len(places)}")
        shutil.copytree(finished.store, place.store)
        order = [stage["name"] for stage in json.loads((place.store / "plan.json").read_text())["stages"]]
        for name in order[order.index(stage) :]:
            shutil.rmtree(place.store / "stages" / name)
        shutil.rmtree(place.store / "export")
        (place.store / "manifest.json").unlink()
        (place.store / "events.jsonl").unlink()
        places.append(place)
        return place

    yield copy
    for place in places:
        place.kill_everything()


def _logs(place: Place) -> str:
    return "\n".join(f"== {path}\n{path.read_text()[-4000:]}" for path in place.store.glob("stages/*/log.txt"))
