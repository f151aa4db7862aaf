"""A rented machine as a column of the matrix: a container that poses as one, which SkyPilot makes and ends."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.clouds.ledger import ledger
from launcher.runfolder.paths import RunFolder
from launcher.transfer.store import machine_path
from tests.emulator.pods import LABEL
from tests.emulator.server import Emulator
from tests.faults.local import Local
from tests.faults.moments import Moment
from tests.faults.processes import command
from tests.launcher.conftest import lines_of
from tests.support.patience import until

FOLDER = machine_path("toy-tiny")


@dataclass
class Rented(Local):
    """The toy's user with accounts at both providers."""

    providers: Emulator = field(kw_only=True)
    client: Any = field(kw_only=True)
    kept: bool = False
    """Whether the disturbed launch leaves its machine to the next one, which ends it."""
    order: str | None = None
    """What the machine is told before the node program starts."""

    @property
    def inside(self) -> RunFolder:
        """The run folder on the machine, as seen from here."""
        return RunFolder(Path(f"/proc/{self._container().attrs['State']['Pid']}/root{FOLDER}"))

    def arm(self, moment: Moment, jump: float = 0.0) -> None:
        super().arm(moment, jump)
        if not moment.laptop:
            self.order = self.hold.read_text()
            self.hold.unlink()

    def start(self, *words: str) -> "subprocess.Popen[str]":
        process = super().start(*words, *(["--keep"] if self.kept else []))
        if self.order:
            until(lambda: process.poll() is not None or self._containers(), "a machine", self.toy.patience)
            assert process.poll() is None, process.communicate()
            self.hold = self.inside.path / "hold"
            self.put(self.hold, self.order)
            self.order = None
        return process

    def held(self, process: "subprocess.Popen[str]") -> None:
        """The node program has told of every checkpoint, too: it looks ten times a second, and steps take no time."""
        super().held(process)
        if self.hold.is_relative_to(self.toy.root):
            return
        saved = sum(
            "checkpoint" in line for name in ("sum", "again") for line in lines_of(self.inside.stage(name).progress)
        )
        until(lambda: self.told() >= saved, "every checkpoint is told")

    def told(self) -> int:
        """Checkpoints that the node program knows of."""
        return sum(event.get("event") == "stage.checkpoint" for event in lines_of(self.inside.events))

    def spoil(self, path: Path, content: bytes) -> None:
        """A file of the machine's run folder, or one at home, where no machine may be any more."""
        if path.is_relative_to(self.folder.path):
            path = self.inside.path / path.relative_to(self.folder.path)
        super().spoil(path, content)

    def remove(self, path: Path) -> None:
        (self.inside.path / path.relative_to(self.folder.path)).unlink()

    def lose_machine(self) -> None:
        """It vanishes once all that it said is here."""
        inside = self.inside
        wanted = [path.relative_to(inside.path) for path in inside.path.glob("stages/*/done.json")]
        for name in ("sum", "again"):
            saved = [line["checkpoint"] for line in lines_of(inside.stage(name).progress) if "checkpoint" in line]
            if saved and not inside.stage(name).done.exists():
                wanted.append(Path("stages", name, "work", saved[-1], "saved.json"))
        until(lambda: all((self.folder.path / path).exists() for path in wanted), f"{wanted} here")
        [machine] = self.providers.machines()
        self.providers.vanish(machine)

    def remains(self) -> list[str]:
        if self.kept and ledger(self.toy.env).alive():  # the disturbed launch came to its end
            self.launcher("down", "toy-tiny")
        return [machine.name for machine in self.providers.machines()] + [
            entry.bill(0) for entry in ledger(self.toy.env).alive()
        ]

    def unlisted(self) -> list[str]:
        known = [entry.run for entry in ledger(self.toy.env).alive()]
        return [machine.name for machine in self.providers.machines() if not any(run in machine.name for run in known)]

    def working(self, word: bytes) -> list[tuple[int, bytes]]:
        """What SkyPilot's shells say of the run folder is not the run's."""
        found = [(process, command(process)) for process in self._inside()]
        shells = (b"bash", b"/bin/bash", b"sh ", b"/bin/sh")
        return [
            (process, said)
            for process, said in found
            if word in said and FOLDER.encode() in said and not said.startswith(shells)
        ]

    def _inside(self) -> Iterator[int]:
        """The processes of the machine's container, by their numbers here."""
        for container in self._containers():
            for process in container.top()["Processes"] or []:
                yield int(process[1])

    def _container(self) -> Any:
        [container] = self._containers()
        return container

    def _containers(self) -> list[Any]:
        """The one that runs the recipe's image, in which the node program works."""
        there = {"label": f"{LABEL}={self.providers.pods.owner}"}
        found = self.client.containers.list(filters=there, ignore_removed=True)
        return [
            container
            for container in found
            if os.path.exists(f"/proc/{container.attrs['State']['Pid']}/root/opt/launcher")
        ]
