"""This machine as a column of the matrix: where a run is held, what works on it, how a launch of it ends."""

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.processes import descendants, signal_quietly
from tests.faults.moments import Moment
from tests.faults.processes import parent, processes
from tests.launcher.conftest import Toy
from tests.support.patience import patience, until

HOLD = Path(__file__).parent / "hold"
WORDS = ("launch", "toy-tiny", "--stages", "whole")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    errors: str


@dataclass
class Local:
    """The toy's user."""

    toy: Toy
    words: tuple[str, ...] = ()
    """More of the command line of every launch."""
    hold: Path = Path("nowhere")
    """While this file exists, whoever comes to the moment waits."""

    @property
    def folder(self) -> RunFolder:
        """The run folder that the node program works on."""
        return self.toy.folder()

    def arm(self, moment: Moment, jump: float = 0.0) -> None:
        """The next program that comes to the moment waits there; from `jumped` on its clock is `jump` seconds off."""
        folder = self.toy.folder() if moment.laptop else self.folder
        self.hold = folder.path / "hold"
        self.toy.env["HOLD"] = str(self.hold)
        self.toy.env["PYTHONPATH"] = os.pathsep.join([self.toy.env["PYTHONPATH"], str(HOLD)])
        self.put(self.hold, json.dumps({**asdict(moment), "jump": jump}))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return self.toy.start(*WORDS, *self.words, *words)

    def launcher(self, *words: str) -> Ended:
        done = self.toy.launcher(*words)
        return Ended(done.returncode, done.stdout, done.stderr)

    def launch(self, *words: str) -> Ended:
        return self.launcher(*WORDS, *self.words, *words)

    def held(self, process: "subprocess.Popen[str]") -> None:
        """A program waits at the moment."""
        until(lambda: process.poll() is not None or self.waiting(), "the moment", self.toy.patience)
        assert self.waiting(), f"the moment never came: {self.hold.read_text()}\n{process.communicate()}"

    def waiting(self) -> int:
        """How many programs wait, or did."""
        marks = self.hold.with_name("hold.held")
        return len(marks.read_text().split()) if marks.exists() else 0

    def queued(self, process: "subprocess.Popen[str]") -> bool:
        """Whether a launch waits for another one to be done with a folder."""
        folders = [folder.path.resolve() for folder in (self.toy.folder(), self.toy.home())]
        locks = {str(path) for folder in folders for path in (folder, folder / ".submitting")}
        opened = Path(f"/proc/{process.pid}/fd")
        with contextlib.suppress(OSError):
            return any(os.readlink(handle) in locks for handle in opened.iterdir())
        return False

    def release(self) -> None:
        """Nobody waits any more."""
        self.hold.unlink(missing_ok=True)

    def jumped(self) -> None:
        """The clock of the programs that were told so is off."""
        self.hold.with_name("hold.jumped").touch()

    def settle(self, process: "subprocess.Popen[str]") -> Ended:
        """The launch, once it has ended."""
        out, errors = process.communicate(timeout=patience(self.toy.patience))
        return Ended(process.returncode, out, errors)

    def node(self) -> int:
        """The node program's process: its guard, a fork, has the same command line."""
        found = dict(self.working(b"launcher.node"))
        [process] = [process for process in found if parent(process) not in found]
        return process

    def trainer(self) -> int:
        [process] = [pid for pid, _ in self.working(b"recipes.toy")]
        return process

    def ask(self) -> None:
        """The node program is asked to stop."""
        os.kill(self.node(), signal.SIGTERM)

    def kill_all(self, process: "subprocess.Popen[str]") -> None:
        """Nothing of the run lives: not here, and not where the node program is."""
        found = [pid for pid, _ in self.working(b"")]
        for pid in [process.pid, *found, *descendants(process.pid)]:
            signal_quietly(pid, signal.SIGKILL)
        until(lambda: not self.working(b""), "the end of all")

    def kill_laptop(self, process: "subprocess.Popen[str]") -> None:
        """The launcher and what it runs on its own behalf are killed; a node program that it started is not."""
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == os.getsid(process.pid):
                    signal_quietly(pid, signal.SIGKILL)
        process.wait()

    def put(self, path: Path, text: str) -> None:
        """A new file, in a folder that is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def spoil(self, path: Path, content: bytes) -> None:
        """A file of the run folder has this content; other names of its bytes keep theirs."""
        owner = path.stat()
        path.unlink()
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)

    def remove(self, path: Path) -> None:
        path.unlink()

    def remains(self) -> list[str]:
        """What is alive of a run that is over, in words."""
        return [f"process {pid}: {words.decode()}" for pid, words in self.working(b"")]

    def unlisted(self) -> list[str]:
        """What costs money and is known to nobody."""
        return []

    def working(self, word: bytes) -> list[tuple[int, bytes]]:
        """Processes, with their command lines, that work on the run folder."""
        places = {str(self.folder.path).encode(), str(self.folder.path.resolve()).encode()}
        found = [(pid, words) for pid, words in processes() if any(path in words for path in places)]
        return [(pid, words) for pid, words in found if word in words]
